declare module 'node-gyp-build' {
  const load: {
    /** The file of the add-on below a package's root folder; throws where there is none. */
    resolve(directory: string): string;
  };
  export = load;
}
