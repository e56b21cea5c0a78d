# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests stand on. Each noun has a module; nothing here knows what usher should do."""
