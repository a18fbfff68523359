"""Whole methods: each composes the parts below it, and leaves a record."""
