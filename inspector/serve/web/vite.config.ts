import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// Plain names: the built files are committed, and the server asks browsers to check their copies anyway.
export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "app[extname]", inlineDynamicImports: true },
    },
  },
});
