"""Formats of recognisers and chats, each made updates in normal form by its own rule. One file a vendor."""
