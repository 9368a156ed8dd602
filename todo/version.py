"""The number of this release. CONTRIBUTING.md says when it changes, and how."""

VERSION = "1.0.0"
