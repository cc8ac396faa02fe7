/** What is wrong with an instruction of a pickle; the unpickler adds file and byte. */
export class Refusal extends Error {}

/** A pickle goes on after the bytes that are there. */
export class PickleTruncated extends Error {}
