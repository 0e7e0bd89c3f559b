"""The session managers: one for each of Playwright's APIs, and what both share."""
