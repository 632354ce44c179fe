// Shows how far a run is without loading the page anew. Without scripts the page refreshes itself.

const live = document.getElementById("live");

async function look() {
  const shown = live.querySelector("[data-refresh]");
  if (!shown) return;
  await new Promise((resolve) => setTimeout(resolve, 1000 * Number(shown.dataset.refresh)));
  // Not while somebody is about to press a button or reads the log.
  if (!document.hidden && !live.contains(document.activeElement)) {
    try {
      const answer = await fetch(live.dataset.address, { headers: { Accept: "text/html" } });
      if (answer.redirected) return location.reload();
      if (answer.ok) live.innerHTML = await answer.text();
    } catch {
      // The server is away for a moment; the next look may find it.
    }
  }
  look();
}

look();
