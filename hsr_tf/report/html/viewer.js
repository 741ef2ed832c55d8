"use strict";
// The report's own part: bands are read from the page and drawn, two versions beside a divider. Plots are Bokeh's.
(() => {
  const byId = (id) => document.getElementById(id);
  const scene = JSON.parse(byId("report-data").textContent);
  const plotsText = byId("plots-data").textContent;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const state = { mode: "true", left: 0, right: 1, band: 0, split: 0.5, zoom: 1, row: 0, column: 0, middleRow: 0, middleColumn: 0, aimRow: 0, aimColumn: 0 };
  const failures = [];
  let spectra = null;

  function problem(text) {
    failures.push(text);
    byId("problem").textContent = text;
    byId("problem").hidden = false;
  }

  // ---- Coded bands: see band_coding.py -------------------------------------------------------------------------
  const bandCache = new Map();

  async function inflate(letters, size) {
    const binary = atob(letters);
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = binary.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function restore(planes, height, width) {
    const count = height * width;
    const codes = new Uint16Array(count);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const folded = planes[i] | (planes[count + i] << 8);
        const difference = folded & 1 ? -((folded + 1) >> 1) : folded >> 1;
        let expected = 0;
        if (y === 0) expected = x ? codes[i - 1] : 0;
        else if (x === 0) expected = codes[i - width];
        else {
          const left = codes[i - 1], upper = codes[i - width], corner = codes[i - width - 1];
          const low = left < upper ? left : upper, high = left < upper ? upper : left;
          expected = corner >= high ? low : corner <= low ? high : left + upper - corner;
        }
        codes[i] = expected + difference;
      }
    }
    return codes;
  }

  function band(element, code, number) {
    const key = `${element}/${number}`;
    if (!bandCache.has(key)) {
      const start = (code.starts[number] / 3) * 4;
      const letters = byId(element).textContent.slice(start, start + Math.ceil(code.sizes[number] / 3) * 4);
      bandCache.set(key, inflate(letters, code.sizes[number]).then((planes) => restore(planes, code.height, code.width)));
    }
    return bandCache.get(key);
  }

  const versionBand = (index, number) => band(`cube-${index}`, scene.versions[index], number);
  const valueOf = (code, q) => (q === 0 ? NaN : code.low + (q - 1) * code.step);

  // ---- Pictures ------------------------------------------------------------------------------------------------
  const pictureCache = new Map();
  const palettes = new Map();

  function palette(name) {
    if (!palettes.has(name)) {
      const numbers = scene.palettes[name].map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
      palettes.set(name, numbers);
    }
    return palettes.get(name);
  }

  const paletteName = () => byId("palette").value;

  // For every colour: whose bands are averaged, and between which values it lies.
  function recipe(version) {
    const sharp = version.kind === "sharp";
    if (state.mode === "band") {
      const known = sharp && scene.channels;
      const bands = !sharp ? [state.band] : known ? [scene.channels[state.band]] : [...Array(version.bands).keys()];
      return { groups: [bands], low: [scene.limits[state.band][0]], high: [scene.limits[state.band][1]] };
    }
    const preset = scene.presets.find((p) => p.name === state.mode);
    if (sharp) return (preset || scene.presets[0]).sharp;
    if (preset) return { groups: preset.bands.map((b) => [b]), low: preset.low, high: preset.high };
    const bands = [0, 1, 2].map((i) => Number(byId(`custom-${i}`).value));
    return { groups: bands.map((b) => [b]), low: bands.map((b) => scene.limits[b][0]), high: bands.map((b) => scene.limits[b][1]) };
  }

  async function level(index, group, low, high) {
    const code = scene.versions[index];
    const bands = await Promise.all(group.map((number) => versionBand(index, number)));
    const levels = new Float32Array(code.width * code.height);
    const factor = 1 / (high - low);
    for (const codes of bands) {
      for (let i = 0; i < levels.length; i++) levels[i] += (valueOf(code, codes[i]) - low) * factor;
    }
    if (bands.length > 1) for (let i = 0; i < levels.length; i++) levels[i] /= bands.length;
    return levels;
  }

  const gamma = scene && Uint8ClampedArray.from({ length: 4097 }, (_, i) => Math.round(255 * Math.pow(i / 4096, 1 / scene.gamma)));

  async function picture(index) {
    const version = scene.versions[index];
    const plan = recipe(version);
    const single = plan.groups.length === 1;
    const key = JSON.stringify([index, plan, single && paletteName()]);
    if (pictureCache.has(key)) return pictureCache.get(key);
    const levels = await Promise.all(plan.groups.map((group, i) => level(index, group, plan.low[i], plan.high[i])));
    const image = new ImageData(version.width, version.height);
    const pixels = image.data;
    const colours = palette(paletteName());
    for (let i = 0, j = 0; j < pixels.length; i++, j += 4) {
      const missing = Number.isNaN(levels[0][i]);
      pixels[j + 3] = missing ? 0 : 255;
      if (missing) continue;
      if (single) {
        const colour = colours[Math.round(255 * Math.min(1, Math.max(0, levels[0][i])))];
        pixels[j] = colour[0]; pixels[j + 1] = colour[1]; pixels[j + 2] = colour[2];
      } else {
        for (let c = 0; c < 3; c++) pixels[j + c] = gamma[Math.round(4096 * Math.min(1, Math.max(0, levels[c][i])))];
      }
    }
    const canvas = document.createElement("canvas");
    canvas.width = version.width;
    canvas.height = version.height;
    canvas.getContext("2d").putImageData(image, 0, 0);
    if (pictureCache.size >= 24) pictureCache.delete(pictureCache.keys().next().value);
    pictureCache.set(key, canvas);
    return canvas;
  }

  // ---- The stage: a window onto the scene, in full-size pixels --------------------------------------------------
  const stage = byId("stage");

  function frame() {
    const height = scene.height / state.zoom, width = scene.width / state.zoom;
    const clamp = (middle, size, whole) => Math.min(Math.max(middle - size / 2, 0), whole - size);
    return { top: clamp(state.middleRow, height, scene.height), left: clamp(state.middleColumn, width, scene.width), height, width };
  }

  function centre() { state.middleRow = state.aimRow; state.middleColumn = state.aimColumn; }

  // The view follows an aim that leaves it.
  function follow() {
    const view = frame();
    const inside = (at, start, size) => at >= start && at < start + size;
    if (!inside(state.aimRow, view.top, view.height) || !inside(state.aimColumn, view.left, view.width)) centre();
  }

  async function drawSide(side) {
    const index = state[side];
    const source = await picture(index);
    if (index !== state[side]) return;
    const canvas = byId(`canvas-${side}`);
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(stage.clientWidth * ratio)), height = Math.max(1, Math.round(stage.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const view = frame(), pitch = scene.versions[index].pitch, context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = (view.width / pitch) > width;
    context.drawImage(source, view.left / pitch, view.top / pitch, view.width / pitch, view.height / pitch, 0, 0, width, height);
    byId(`tag-${side}`).textContent = scene.versions[index].name;
  }

  function place(element, row, column) {
    const view = frame(), half = scene.stride / 2;
    const x = (column + half - view.left) / view.width, y = (row + half - view.top) / view.height;
    element.hidden = x < 0 || x > 1 || y < 0 || y > 1;
    element.style.left = `${100 * x}%`;
    element.style.top = `${100 * y}%`;
  }

  function drawSplit() {
    const percent = 100 * state.split;
    byId("divider").style.left = `${percent}%`;
    byId("canvas-right").style.clipPath = `inset(0 0 0 ${percent}%)`;
    byId("divider").setAttribute("aria-valuenow", Math.round(percent));
    const names = [state.left, state.right].map((index) => scene.versions[index].name);
    byId("divider").setAttribute("aria-valuetext", `${Math.round(percent)} % ${names[0]}, the rest ${names[1]}`);
  }

  const bandName = (number) => (scene.wavelengths ? `${number + 1}, ${Number(scene.wavelengths[number].toFixed(1))} nm` : `${number + 1}`);

  function drawWords() {
    const single = state.mode === "band";
    byId("mode-band").hidden = !single;
    byId("mode-custom").hidden = state.mode !== "custom";
    byId("band-name").textContent = `${bandName(state.band)} (of ${scene.limits.length})`;
    byId("band").setAttribute("aria-valuetext", `band ${bandName(state.band)}`);
    const [low, high] = scene.limits[state.band];
    byId("scale-low").textContent = low.toPrecision(3);
    byId("scale-high").textContent = high.toPrecision(3);
    const bar = byId("scale-bar").getContext("2d");
    palette(paletteName()).forEach((colour, i) => { bar.fillStyle = `rgb(${colour.join(",")})`; bar.fillRect(i, 0, 1, 1); });
    const preset = scene.presets.find((p) => p.name === state.mode);
    const bands = preset ? preset.bands : [0, 1, 2].map((i) => Number(byId(`custom-${i}`).value));
    const sharp = scene.versions[state.left].kind === "sharp" || scene.versions[state.right].kind === "sharp";
    byId("colours").textContent = single
      ? `All versions on one scale of colours.${sharp ? ` The sharp image shows ${scene.channels ? `its channel ${scene.channels[state.band] + 1}, which sees most of this band` : "the mean of its channels"}.` : ""}`
      : `Red, green, blue: bands ${bands.map((b) => bandName(b)).join("; ")}.${sharp ? " The sharp image shows its own channels." : ""}`;
    byId("zoom").textContent = `${state.zoom}×`;
  }

  let drawing = null, again = false;
  function draw() {
    drawSplit();
    drawWords();
    place(byId("cross"), state.row, state.column);
    place(byId("aim"), state.aimRow, state.aimColumn);
    byId("aim").hidden = byId("aim").hidden || document.activeElement !== stage;
    moveBandLine();
    if (drawing) { again = true; return drawing; }
    drawing = (async () => {
      do { again = false; await Promise.all([drawSide("left"), drawSide("right")]); } while (again);
    })().catch((error) => problem(`The pictures could not be drawn: ${error.message}`)).finally(() => { drawing = null; });
    return drawing;
  }

  // ---- Spectra -------------------------------------------------------------------------------------------------
  async function spectrum(index, row, column) {
    const version = scene.versions[index];
    const y = Math.min(Math.floor(row / version.pitch), version.height - 1), x = Math.min(Math.floor(column / version.pitch), version.width - 1);
    const bands = await Promise.all([...Array(version.bands).keys()].map((number) => versionBand(index, number)));
    return bands.map((codes) => valueOf(version, codes[y * version.width + x]));
  }

  function angle(a, b) {
    let ab = 0, aa = 0, bb = 0;
    for (let i = 0; i < a.length; i++) { ab += a[i] * b[i]; aa += a[i] * a[i]; bb += b[i] * b[i]; }
    return (180 / Math.PI) * Math.acos(Math.min(1, Math.max(-1, ab / Math.sqrt(aa * bb))));
  }

  const snap = (value, size) => {
    const steps = Math.floor(Math.min(Math.max(value, 0), size - 1) / scene.stride);
    return steps * scene.stride;
  };

  async function choose(row, column) {
    state.row = state.aimRow = snap(row, scene.height);
    state.column = state.aimColumn = snap(column, scene.width);
    const key = `${state.row}/${state.column}`;
    const found = await Promise.all(scene.versions.map((_, index) => spectrum(index, state.row, state.column)));
    if (key !== `${state.row}/${state.column}`) return;
    spectra = { row: state.row, column: state.column, values: found };
    showSpectra();
    await draw();
  }

  function showSpectra() {
    const coarse = scene.versions.find((v) => v.kind === "coarse");
    const cell = coarse ? `, coarse cell ${Math.floor(spectra.row / coarse.pitch)}, ${Math.floor(spectra.column / coarse.pitch)}` : "";
    byId("where").textContent = `at row ${spectra.row}, column ${spectra.column}${cell}`;
    const angles = scene.versions.map((v, i) => [v, i]).filter(([v, i]) => scene.truth !== null && v.kind === "full" && i !== scene.truth)
      .map(([v, i]) => `${v.name} ${angle(spectra.values[i], spectra.values[scene.truth]).toFixed(2)}°`);
    const sharp = scene.versions.findIndex((v) => v.kind === "sharp");
    const lines = [];
    if (angles.length) lines.push(`Spectral angle to the truth here: ${angles.join(", ")}.`);
    if (sharp >= 0) lines.push(`Sharp image here: ${spectra.values[sharp].map((v) => v.toPrecision(3)).join(", ")}.`);
    byId("angles").textContent = lines.join(" ");
    fillTable();
    fillPlots();
  }

  function fillTable() {
    const shown = scene.versions.map((v, i) => [v, i]).filter(([v]) => v.kind !== "sharp");
    const table = byId("values");
    const cell = (row, kind, text) => { const c = document.createElement(kind); c.textContent = text; if (kind === "th") c.scope = row.parentNode.tagName === "THEAD" ? "col" : "row"; row.append(c); };
    table.replaceChildren();
    const head = table.createTHead().insertRow(), body = table.createTBody();
    cell(head, "th", "band");
    shown.forEach(([v]) => cell(head, "th", v.name));
    scene.limits.forEach((_, number) => {
      const row = body.insertRow();
      cell(row, "th", bandName(number));
      shown.forEach(([, i]) => cell(row, "td", spectra.values[i][number].toFixed(4)));
    });
  }

  // ---- Plots by Bokeh ------------------------------------------------------------------------------------------
  let bokehDocument = null;
  const model = (name) => bokehDocument && bokehDocument.get_model_by_name(name);

  function fillPlots() {
    const source = model("spectra-source");
    if (!source || !spectra) return;
    const data = { ...source.data };
    Object.keys(data).filter((name) => name !== "x").forEach((name) => {
      const values = spectra.values[Number(name.slice(1))];
      data[name] = scene.axis.map((number) => (number < 0 ? NaN : values[number]));
    });
    source.data = data;
    const marker = model("place-source");
    if (marker) marker.data = { x: [spectra.column + 0.5], y: [spectra.row + 0.5] };
  }

  function moveBandLine() {
    const line = model("band");
    if (!line || !scene) return;
    line.visible = state.mode === "band";
    line.location = scene.wavelengths ? scene.wavelengths[state.band] : state.band + 1;
  }

  async function fillMap(number) {
    const code = scene.maps[number], codes = await band(`map-data-${number}`, code, 0);
    const source = model(`map-source-${number}`);
    const values = Float32Array.from(codes, (q) => valueOf(code, q));
    source.data = { image: [new source.data.image[0].constructor(values, [code.height, code.width])] };
  }

  // Square pixels: what the frame of a picture may have of the width, and as high as its shape asks for.
  function pictureSize(element) {
    const aspect = Number(element.dataset.aspect), margin = Number(element.dataset.margin);
    const width = Math.max(120, Math.floor(Math.min(element.clientWidth - margin, 460 / Math.max(1, aspect))));
    return { sizing_mode: "fixed", width: null, height: null, frame_width: width, frame_height: Math.max(60, Math.floor(width * aspect)) };
  }

  function sizePictures() {
    document.querySelectorAll(".plot.map").forEach((element) => {
      const plot = model(element.id.slice("plot-".length));
      if (plot) plot.setv(pictureSize(element));
    });
  }

  async function embedPlots() {
    const colours = dark.matches ? ["#e8eaed", "#a3adb8", "#333a42"] : ["#16191d", "#5a636e", "#e2e5e9"];
    let text = plotsText;
    ["#010203", "#040506", "#070809"].forEach((mark, i) => { text = text.replaceAll(mark, colours[i]); });
    const parts = JSON.parse(text);
    if (!parts) return;
    for (const root of Object.values(parts.docs).flatMap((doc) => doc.roots)) {
      const element = byId(parts.item.roots[root.id]);
      if (element.classList.contains("map")) Object.assign(root.attributes, pictureSize(element));
    }
    if (bokehDocument) { bokehDocument.clear(); document.querySelectorAll(".plot").forEach((element) => element.replaceChildren()); }
    await Bokeh.embed.embed_items(parts.docs, [parts.item]);
    bokehDocument = Bokeh.documents[Bokeh.documents.length - 1];
    if (window.matchMedia("(pointer: coarse)").matches) document.documentElement.classList.add("touch");
    fillPlots();
    if (scene) moveBandLine();
  }

  // ---- What the reader does ------------------------------------------------------------------------------------
  function setSplit(value) { state.split = Math.min(1, Math.max(0, value)); drawSplit(); }
  function setBand(number) {
    state.band = Math.min(scene.limits.length - 1, Math.max(0, number));
    byId("band").value = state.band;
    return draw();
  }
  function setZoom(factor) { centre(); state.zoom = Math.min(16, Math.max(1, state.zoom * factor)); return draw(); }
  function setMode(mode) {
    state.mode = mode;
    document.querySelector(`input[name="mode"][value="${mode}"]`).checked = true;
    return draw();
  }

  function bandAt(position) {
    const places = scene.wavelengths || scene.limits.map((_, i) => i + 1);
    let nearest = 0;
    places.forEach((p, i) => { if (Math.abs(p - position) < Math.abs(places[nearest] - position)) nearest = i; });
    setMode("band");
    return setBand(nearest);
  }

  function stagePlace(event) {
    const box = stage.getBoundingClientRect(), view = frame();
    return [view.top + ((event.clientY - box.top) / box.height) * view.height, view.left + ((event.clientX - box.left) / box.width) * view.width];
  }

  function listenToDivider() {
    const divider = byId("divider");
    const move = (event) => { const box = stage.getBoundingClientRect(); setSplit((event.clientX - box.left) / box.width); };
    divider.addEventListener("pointerdown", (event) => { divider.setPointerCapture(event.pointerId); event.stopPropagation(); });
    divider.addEventListener("pointermove", (event) => { if (divider.hasPointerCapture(event.pointerId)) move(event); });
    divider.addEventListener("click", (event) => event.stopPropagation());
    divider.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.1 : 0.02;
      const steps = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageUp: 0.1, PageDown: -0.1, Home: -1, End: 1 };
      if (!(event.key in steps)) return;
      setSplit(state.split + steps[event.key]);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  function listenToStage() {
    stage.addEventListener("click", (event) => choose(...stagePlace(event)));
    stage.addEventListener("focus", draw);
    stage.addEventListener("blur", draw);
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = scene.stride * (event.shiftKey ? 10 : 1);
      const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
      if (event.key in moves) {
        state.aimRow = snap(state.aimRow + moves[event.key][0], scene.height);
        state.aimColumn = snap(state.aimColumn + moves[event.key][1], scene.width);
        follow();
        draw();
      } else if (event.key === "Enter" || event.key === " ") choose(state.aimRow, state.aimColumn);
      else if (event.key === "+" || event.key === "=") setZoom(2);
      else if (event.key === "-") setZoom(0.5);
      else return;
      event.preventDefault();
    });
  }

  function listen() {
    listenToDivider();
    listenToStage();
    for (const side of ["left", "right"]) byId(side).addEventListener("change", (event) => { state[side] = Number(event.target.value); draw(); });
    document.querySelectorAll('input[name="mode"]').forEach((input) => input.addEventListener("change", () => setMode(input.value)));
    document.querySelectorAll(".custom").forEach((select) => select.addEventListener("change", draw));
    byId("band").addEventListener("input", (event) => setBand(Number(event.target.value)));
    byId("palette").addEventListener("change", draw);
    byId("zoom-in").addEventListener("click", () => setZoom(2));
    byId("zoom-out").addEventListener("click", () => setZoom(0.5));
  }

  function fillControls() {
    const option = (select, value, text) => { const o = document.createElement("option"); o.value = value; o.textContent = text; byId(select).append(o); };
    scene.versions.forEach((version, index) => ["left", "right"].forEach((side) => option(side, index, version.name)));
    const first = scene.versions.findIndex((v, i) => v.kind === "full" && i !== scene.truth);
    const coarse = scene.versions.findIndex((v) => v.kind === "coarse");
    const other = scene.versions.findIndex((v, i) => v.kind === "full" && i !== first);
    state.left = coarse >= 0 ? coarse : scene.truth ?? (other >= 0 ? other : first);
    state.right = first;
    state.mode = scene.presets[0].name;
    state.band = Math.floor(scene.limits.length / 2);
    [state.row, state.column] = [state.aimRow, state.aimColumn] = scene.place;
    byId("left").value = state.left;
    byId("right").value = state.right;
    byId("band").value = state.band;
    [0, 1, 2].forEach((i) => {
      scene.limits.forEach((_, number) => option(`custom-${i}`, number, `band ${bandName(number)}`));
      byId(`custom-${i}`).value = scene.presets[0].bands[i];
    });
    stage.style.aspectRatio = `${scene.width} / ${scene.height}`;
    stage.style.maxWidth = `calc(85vh * ${scene.width / scene.height})`;
  }

  function copyCommand() {
    const button = byId("copy");
    if (!button) return;
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(byId("command").textContent); button.textContent = "Copied"; }
      catch { window.getSelection().selectAllChildren(byId("command")); button.textContent = "Selected"; }
    });
  }

  async function start() {
    copyCommand();
    if (scene && typeof DecompressionStream === "undefined") { problem("This browser is too old for the pictures: take one from 2023 or later."); return; }
    if (scene) {
      fillControls();
      listen();
      await draw();
      const values = scene.spectra.map((spectrum) => spectrum.map((value) => (value === null ? NaN : value)));
      spectra = { row: state.row, column: state.column, values };
      showSpectra();
    }
    await embedPlots();
    if (scene) window.setTimeout(() => warm().catch((error) => problem(`Not everything could be read: ${error.message}`)), 50);
  }

  // Read the other bands while the reader looks, so that a click is answered at once.
  async function warm() {
    for (let number = 0; number < scene.maps.length; number++) await fillMap(number);
    for (let index = 0; index < scene.versions.length; index++) {
      for (let number = 0; number < scene.versions[index].bands; number++) {
        await versionBand(index, number);
        await new Promise((done) => ("requestIdleCallback" in window ? requestIdleCallback(done, { timeout: 200 }) : setTimeout(done, 0)));
      }
    }
    document.documentElement.dataset.warm = "true";
  }

  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (scene) draw(); if (window.innerWidth !== width) { width = window.innerWidth; sizePictures(); } });
  dark.addEventListener("change", () => embedPlots().then(() => scene && warm()));
  const ready = start().then(() => { document.documentElement.dataset.ready = "true"; }).catch((error) => problem(`The report could not be shown: ${error.message}`));
  window.hsrReport = { ready, state, choose, bandAt, setBand, setMode, setSplit, setZoom, failures, spectra: () => spectra, plotted: () => ({ ...model("spectra-source").data }) };
})();
