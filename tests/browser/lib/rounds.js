// How often the tests with many rounds repeat them.

/** `make soak` sets LEAT_LONG. */
const IS_LONG = process.env.LEAT_LONG !== undefined;

/** `few` in `make test`, which would take too long with all rounds, and `many` in `make soak`. */
export const rounds = ({ few, many }) => (IS_LONG ? many : few);
