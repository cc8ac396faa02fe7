// Stands for the header of this name: the double's own headers (../*.h) come before every kernel source.
