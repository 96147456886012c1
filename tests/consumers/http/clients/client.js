// Node's clients: perspective-api-client, whose address is fixed, and Google's own, which reads the discovery document.
const [, , root, key] = process.argv;
const Perspective = require("perspective-api-client");
const axios = require(require.resolve("axios", { paths: [require.resolve("perspective-api-client")] }));
axios.interceptors.request.use((c) => ({ ...c, url: c.url.replace("https://commentanalyzer.googleapis.com/", root) }));
const { google } = require("googleapis");

(async () => {
  const perspective = new Perspective({ apiKey: key });
  const one = await perspective.analyze("we met <b>anna</b>", { attributes: ["toxicity", "insult"] });
  console.log("one", Object.keys(one.attributeScores).join());
  await perspective.analyze("we met", { attributes: ["spam"] }).catch((error) => console.log("error", error.message));
  const found = await google.discoverAPI(root + "$discovery/rest?version=v1alpha1");
  const resource = { comment: { text: "we met anna" }, requested_attributes: { TOXICITY: {} }, span_annotations: true };
  const { data } = await found.comments.analyze({ key, resource });
  console.log("google", data.attributeScores.TOXICITY.spanScores[0].end);
})();
