-- Keys in another order of columns. Constraints are explained in ledger/model.

ALTER TABLE transaction DROP CONSTRAINT transaction_slot_account_id_terminal_id_txid_key;

ALTER TABLE transaction
    ADD CONSTRAINT transaction_slot_txid_terminal_id_account_id_key UNIQUE (slot, txid, terminal_id, account_id);

ALTER TABLE card DROP CONSTRAINT card_slot_number_key;

ALTER TABLE card ADD CONSTRAINT card_number_slot_key UNIQUE (number, slot);
