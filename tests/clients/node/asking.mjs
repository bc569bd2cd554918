// What every client for Node is made to do: the questions, and how its doings are told to the test.
export const base = process.env.WELLREAD_BASE;
export const key = process.env.WELLREAD_KEY;
export const model = "wellread";
export const unknown = "no-such-model";
export const question = process.env.WELLREAD_QUESTION;
export const breaks = process.env.WELLREAD_BREAKS;

export function failure(error) {
  return { kinds: [error.name, error.constructor.name], message: String(error.message ?? error), status: error.status ?? error.statusCode };
}

export async function raised(call) {
  try {
    await call();
  } catch (error) {
    return failure(error);
  }
  return null;
}

export function tell(doings) {
  process.stdout.write(JSON.stringify(doings));
}
