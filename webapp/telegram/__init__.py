"""The Telegram bot: photos in, answers out, by the same steps as on the web."""
