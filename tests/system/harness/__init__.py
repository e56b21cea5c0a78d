# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests are built on. Each noun has a module. Nothing here knows what usher should do."""
