// Questions to the page's server, one after the other, so that changes arrive in the order in which they were made.

let last = Promise.resolve();

async function send(name, body) {
  let answer;
  const text = JSON.stringify(body);
  try {
    answer = await fetch("/ask/" + name, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: text,
      // A change that is under way when the page is closed still arrives; browsers do so for 64 KiB.
      keepalive: text.length < 50_000,
    });
  } catch {
    throw new Error("the page's server does not answer: start the command that opened it again, then load this page anew");
  }
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** The answer to a question; throws an Error with a sentence where there is none. */
export function ask(name, body = {}) {
  const answered = last.then(() => send(name, body));
  last = answered.catch(() => {});
  return answered;
}
