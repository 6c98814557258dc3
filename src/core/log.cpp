// SPDX-License-Identifier: Apache-2.0
#include "core/log.h"

#include <atomic>
#include <iostream>
#include <mutex>

namespace tutti {
namespace {

struct Sink {
  std::mutex mutex;
  std::atomic<LogLevel> level = LogLevel::warning;
  LogCallback callback = [](LogLevel, std::string_view message) {
    std::cerr << "tutti: " << message << '\n';
  };
};

Sink& sink() {
  static Sink instance;
  return instance;
}

}  // namespace

void set_log(LogLevel level, LogCallback callback) {
  std::lock_guard lock(sink().mutex);
  sink().level = callback ? level : LogLevel::off;
  sink().callback = std::move(callback);
}

bool log_enabled(LogLevel level) { return level >= sink().level && level != LogLevel::off; }

void log_message(LogLevel level, std::string_view message) {
  std::lock_guard lock(sink().mutex);
  if (sink().callback) sink().callback(level, message);
}

}  // namespace tutti
