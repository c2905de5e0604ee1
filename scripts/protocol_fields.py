"""What each field of a message means, for generate_protocol_docs.py. "Message.field" wins over "field"."""

__all__ = ["MEANINGS"]

MEANINGS: dict[str, str] = {
    # every request
    "id": "the txid: made by the terminal, the same in every repeat",
    "Reply.id": "the request's `id`",
    "stan": "the terminal's trace number; rises by one with each new request, from 999999 back to 0",
    "batch": "the open batch: starts at any number, rises by one at each end-of-day; for now only recorded",
    "at": "the terminal's clock, milliseconds since 1970 UTC; stored, never trusted",
    "repeat": "true when the request may have been sent before",
    # every reply
    "code": "outcome, from the table of codes; 0 is approved",
    "text": "the outcome in words, for people",
    "server_at": "the server's clock when the answer was made, milliseconds since 1970 UTC",
    "business_date": "the accounting day on which it was booked",
    "recorded": "true when the answer stood before: that of an earlier, equal request, or a 3009",
    # enrolment, login
    "model": "make and model of the device",
    "software": "version of the terminal's program",
    "terminal": "the terminal's number",
    "merchant": "the merchant's name",
    "store": "the store's name",
    "next_key": "the server's next static public key, 32 bytes; its id is the present id plus 1, modulo 256",
    "last_stan": "the last trace number that the terminal used before this one; 0 when there is none",
    "session": "a name for this session, for support",
    "LoginReply.catalogue": "version of the catalogue; fetch it when it differs from the one held",
    "idle_s": "seconds within which the server wants a frame from the terminal; "
    "after one and a half times as long it ends the session",
    # catalogue
    "held": "catalogue version that the terminal holds; 0 when none",
    "after": "for a following page: the last service code of the page before",
    "version": "the present catalogue version; 0 in a refusal",
    "unchanged": "true when `held` is the present version; `services` is then empty",
    "more": "true when another page follows",
    "services": "ordered by code",
    "CatalogueItem.code": "what a Redeem names in `service`",
    "name": "the service's name",
    "name_zh": "the same in Chinese",
    "unit": "what one unit is called",
    "CatalogueItem.points": "price of one unit, in points",
    "open": "true when the clerk enters the amount",
    "min_points": "least `amount` of an open price",
    "max_points": "greatest `amount` of an open price",
    # credentials
    "credential": "the text that was scanned or read, as it is",
    "chip": "the UID that the reader saw, when the token was read from a chip; not for a printed code",
    "pin": "the six digits that the member typed; any other text, even empty, is a wrong PIN",
    "ReversalAdvice.credential": "that of the purchase; under another account's card it is not found",
    "TransactionStatus.credential": "that of the purchase; under another account's card it is not found",
    # redeem
    "service": "service code, from the catalogue",
    "quantity": "units, for a fixed price, 1 to 9999; left out it is 1",
    "amount": "points, for an open price; `quantity` is then left out, and the other way round; "
    "both together give 1010",
    "reference": "the till's order number, printed on statements",
    "approval": "approval number, for the receipt",
    "points": "points spent",
    "balance": "points that can still be spent",
    "RedeemReply.balance": "points that can still be spent; with 0000, 1021, 1036 and 1016 alone",
    "receipt": "lines to print for the member",
    # reversal, status
    "original": "the `id` of the Redeem in question",
    "TransactionStatus.original": "the `id` of the Redeem in question; an advice's is found as well",
    "reason": "timeout, cancelled, not_given (the service was not rendered) or restart",
    "outcome": "reversed, already_reversed, refused_before (the Redeem was refused), not_a_purchase "
    "(`original` is no Redeem) or never_seen; only the first moves points, and each ends the advice",
    "ReversalAdviceReply.points": "points given back by this advice; 0 unless `outcome` is reversed",
    "fence": "true: if the original was never seen, it can never happen any more",
    "original_code": "code of the recorded reply",
    "TransactionStatusReply.approval": "of the recorded reply",
    "TransactionStatusReply.points": "of the recorded reply",
    "TransactionStatusReply.balance": "of the recorded reply",
    "TransactionStatusReply.reversed": "true when it has been reversed since",
    # inquiries
    "BalanceInquiry.pin": "not needed; one that is given, even empty, is checked, and counted when wrong",
    "BalanceInquiryReply.held": "points reserved",
    "expiring": "the next lots to expire, soonest first",
    "ExpiringPoints.points": "points of this lot that are left",
    "last_day": "the last business date on which they can be spent",
    "since": "first business date, inclusive; one that does not exist gives 3011, "
    "one after `until` an empty page",
    "until": "last business date, inclusive; one that does not exist gives 3011",
    "cursor": "for a following page: the `cursor` of the page before; any number of up to 18 digits is taken "
    "for one, other text gives 3011",
    "ConsumptionInquiryReply.cursor": "there when another page follows",
    "items": "newest first",
    "ConsumptionItem.at": "when it was booked, milliseconds since 1970 UTC",
    "kind": "redeem, reversal, grant and others; show an unknown one as it is",
    "ConsumptionItem.points": "signed, as the member sees it: what was spent is negative",
    "ConsumptionItem.service": "the service",
    "reversed": "true when it has been reversed since",
    # the end
    "Closing.reason": "replaced (a newer session of this terminal), idle, lifetime or shutdown",
}
