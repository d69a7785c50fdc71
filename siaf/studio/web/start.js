/** Which job to open, where the studio serves several. */

const wrong = document.getElementById("wrong");
const which = document.getElementById("which");

/** The number of a job in what somebody typed, or in the address of a page of CVAT; null if there is none. */
function jobIn(text) {
  const found = /^\s*(\d+)\s*$/.exec(text) ?? /\/jobs\/(\d+)/.exec(text);
  return found && Number(found[1]) > 0 ? Number(found[1]) : null;
}

document.getElementById("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const job = jobIn(which.value);
  wrong.hidden = job !== null;
  if (job !== null) location.assign(`jobs/${job}/`);
});
which.addEventListener("input", () => (wrong.hidden = true));

// The link in a guide is the same for all jobs; where CVAT is at the same address, it tells from which one it was followed.
const from = jobIn(document.referrer);
if (from !== null) location.replace(`jobs/${from}/`);
