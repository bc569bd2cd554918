// Runs each task once before the next picture, however often it was asked for.

const due = new Set();

export function nextFrame(task) {
  if (!due.size) requestAnimationFrame(runDue);
  due.add(task);
}

function runDue() {
  const tasks = [...due];
  due.clear();
  for (const task of tasks) {
    try {
      task();
    } catch (error) {
      reportError(error);
    }
  }
}
