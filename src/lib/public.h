/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A function that libusher exports; libusher.sym lists them */
#define _public_ __attribute__((visibility("default")))
