"""Formats of recognisers and chats, converted to messages in normal form; one file for each vendor."""
