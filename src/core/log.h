// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/text.h"
#include "tutti/log.h"

namespace tutti {

/// True when a message of this level would be delivered.
bool log_enabled(LogLevel level);

/// Delivers `message` to the callback set by set_log.
void log_message(LogLevel level, std::string_view message);

/// Joins the parts and delivers them, if anybody listens at this level.
template <class... Parts>
void log(LogLevel level, const Parts&... parts) {
  if (log_enabled(level)) log_message(level, join(parts...));
}

}  // namespace tutti
