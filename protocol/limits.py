"""Every limit of the protocol, each with its reason. The table in README.md is made from this file."""

MAX_FRAME_UNAUTHENTICATED = 256
"""Bytes of a frame's body until the handshake is over: a stranger costs us no more memory than this."""

MAX_FRAME = 4096
"""Bytes of a frame's body afterwards: the longest reply, a page of a catalogue, fits; a burst stays small."""

PADDING_BLOCK = 64
"""A plaintext's length is a multiple of this, so the length of a frame tells little of what is in it."""

MAX_PLAINTEXT = 4032
"""Bytes of a padded message: the last multiple of 64 that fits a frame beside its 16-byte tag."""

MAX_HELLO_PLAINTEXT = 192
"""Bytes of a padded Login or Enrol: frame 3 also holds the terminal's key (48) and a tag (16), 256 in all."""

MAX_DEPTH = 3
"""Maps and lists inside each other: a message, a list in it, an item of that list. Nothing needs a fourth."""

REKEY_INTERVAL = 1000
"""Frames in one direction between changes of its key: what a key taken from memory opens ends soon."""

MAX_IN_FLIGHT = 32
"""Unanswered requests of one session: enough for a counter in a hurry, and no terminal can fill the queue."""

HANDSHAKE_SECONDS = 5
"""From the accepted connection to frame 3: three small frames, even over a bad mobile network."""

IDLE_SECONDS = 120
"""Without a frame from the terminal: the default of LoginReply.idle_s, below what mobile gateways forget."""

SESSION_SECONDS = 86_400
"""Life of a session: after a day a new handshake brings new keys, and a revoked terminal is gone for sure."""

MIN_HOLD_SECONDS = 60
"""The shortest life of a hold: less would be a Redeem."""

HOLD_SECONDS = 86_400
"""Life of a hold that names none: a job that is ordered today is done by tomorrow."""

MAX_HOLD_SECONDS = 604_800
"""The longest: a week. Points that nobody comes for must not stay out of the member's reach."""

MAX_UPLOAD = 30
"""Transactions in one BatchUpload: with the longest fields they fit a frame, and so does the answer."""
