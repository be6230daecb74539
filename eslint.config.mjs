// `make lint-js` checks the report's script, as a browser runs it, and the modules of the labeling page by these rules.
// No imports: eslint then runs through npx alone.
const browser = ["Blob", "Image", "ResizeObserver", "URL", "XMLSerializer", "document", "getComputedStyle", "setTimeout"];
const labeling = [
  "AbortSignal", "CustomEvent", "Event", "EventSource", "EventTarget", "ImageData", "MutationObserver", "TextDecoder", "URLSearchParams", "addEventListener", "clearTimeout", "crypto", "devicePixelRatio", "fetch", "innerHeight",
  "innerWidth", "localStorage", "location", "matchMedia", "navigator", "performance", "requestAnimationFrame", "sessionStorage", "setInterval",
];
const known = (names) => Object.fromEntries(names.map((name) => [name, "readonly"]));

export default [
  {
    languageOptions: { sourceType: "script", globals: known(browser) },
    rules: {
      "array-callback-return": "error", "constructor-super": "error", "eqeqeq": "error", "for-direction": "error",
      "no-cond-assign": "error", "no-const-assign": "error", "no-constant-condition": "error", "no-dupe-args": "error",
      "no-dupe-else-if": "error", "no-dupe-keys": "error", "no-duplicate-case": "error", "no-eval": "error",
      "no-fallthrough": "error", "no-func-assign": "error", "no-implied-eval": "error", "no-loss-of-precision": "error",
      "no-redeclare": "error", "no-self-assign": "error", "no-self-compare": "error", "no-shadow-restricted-names": "error",
      "no-sparse-arrays": "error", "no-undef": "error", "no-unreachable": "error", "no-unsafe-negation": "error",
      "no-unsafe-optional-chaining": "error", "no-unused-vars": "error", "no-use-before-define": ["error", { "functions": false, "variables": false, "classes": false }],
      "no-useless-escape": "error", "no-var": "error", "prefer-const": "error", "use-isnan": "error", "valid-typeof": "error",
    },
  },
  {
    files: ["src/distil/labeling/page/*.js"],
    languageOptions: { sourceType: "module", globals: known(labeling) },
  },
];
