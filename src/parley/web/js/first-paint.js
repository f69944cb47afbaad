// Runs before anything is drawn, so that a dark page does not flash white.
document.documentElement.dataset.theme = localStorage.getItem("parley.theme") || "auto";
