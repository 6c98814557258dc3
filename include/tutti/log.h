// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

namespace tutti {

/// How much a message matters; `off` silences everything.
enum class LogLevel { debug, info, warning, error, off };

/// Receives messages at or above the level set; called from any thread, one call at a time.
using LogCallback = std::function<void(LogLevel, std::string_view)>;

/// Sends messages of at least `level` to `callback`. At start: warning, to standard error.
void set_log(LogLevel level, LogCallback callback);

}  // namespace tutti
