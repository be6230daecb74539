"""Auditing a pool before labels are paid for."""
