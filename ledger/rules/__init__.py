"""The rules of posting, by what is asked; `ledger.decide` calls them. All pure.

rows       what is written of a request, and what an earlier row answers
points     moving, reserving, returning and expiring points, lot by lot
refusals   why not: pure questions about the state
spending   redeem and hold
holding    how a hold ends: capture, release, lapse
undoing    reversal, refund, tombstone
pins       the PIN
"""
