(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remember = (theme) => { try { localStorage.setItem("spikebridge-theme", theme); } catch { /* not allowed here */ } };
  const recall = () => { try { return localStorage.getItem("spikebridge-theme"); } catch { return null; } };
  const chosen = recall();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  function watchTheme(button) {
    const label = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    });
    system.addEventListener("change", label);
    label();
    button.hidden = false;
  }

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* the older way below */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  function offerCopy(block) {
    const button = document.createElement("button");
    const title = block.querySelector("h4").textContent;
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${title}`);
    button.addEventListener("click", async () => {
      const done = await copy(block.querySelector("code").textContent);
      button.textContent = done ? "Copied" : "Select and copy";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.append(button);
  }

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((block) => { block.open = true; }));
  document.addEventListener("DOMContentLoaded", () => {
    watchTheme(document.getElementById("theme"));
    document.querySelectorAll(".code").forEach(offerCopy);
  });
})();
