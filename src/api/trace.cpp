// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "core/error.h"
#include "import/json.h"
#include "tutti/session.h"

namespace tutti {
namespace {

constexpr std::string_view kHead = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n";
constexpr std::string_view kEnd = "\n]}\n";

std::string json_text(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

// Microseconds, to a nanosecond.
double microseconds(double ms) { return std::round(1e6 * ms) / 1e3; }

std::string event(std::string_view name, std::string_view category, int rank, bool prepare,
                  double start_ms, double duration_ms, const std::string& arguments) {
  return join(",\n{\"name\": ", json_text(name), ", \"cat\": ", json_text(category),
              ", \"ph\": \"X\", \"pid\": ", rank, ", \"tid\": ", prepare ? 2 : 1,
              ", \"ts\": ", microseconds(start_ms), ", \"dur\": ", microseconds(duration_ms),
              ", \"args\": {", arguments, "}}");
}

std::string arguments_of(const StepTime& step) {
  std::string text = join("\"implementation\": ", json_text(step.implementation),
                          ", \"types\": ", json_text(step.types),
                          ", \"wait_ms\": ", microseconds(step.wait_ms) / 1e3);
  if (step.flops > 0) text += join(", \"flops\": ", step.flops);
  if (step.ranks.empty()) return text;
  text += join(", \"bytes_sent\": ", step.bytes_sent, ", \"ranks\": [");
  for (size_t i = 0; i < step.ranks.size(); ++i) text += join(i ? ", " : "", step.ranks[i]);
  return text + "]";
}

}  // namespace

std::string chrome_trace(const Profile& profile, int rank) {
  std::string out(kHead);
  out += join("{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": ", rank,
              ", \"args\": {\"name\": \"rank ", rank, "\"}}");
  for (const StepTime& step : profile.steps) {
    const std::string name =
        step.scope.empty() ? step.operation : step.operation + " " + step.scope;
    if (step.wait_ms > 0)
      out += event("wait", "wait", rank, step.prepare, step.start_ms - step.wait_ms, step.wait_ms,
                   join("\"for\": ", json_text(name)));
    out += event(name, step.operation, rank, step.prepare, step.start_ms, step.duration_ms,
                 arguments_of(step));
  }
  return out + std::string(kEnd);
}

std::string join_traces(const std::vector<std::string>& traces) {
  std::string out(kHead);
  for (size_t i = 0; i < traces.size(); ++i) {
    const std::string_view trace = traces[i];
    require_argument(trace.starts_with(kHead) && trace.ends_with(kEnd), "trace ", i,
                     " is none of chrome_trace");
    out += i ? ",\n" : "";
    out += trace.substr(kHead.size(), trace.size() - kHead.size() - kEnd.size());
  }
  return out + std::string(kEnd);
}

}  // namespace tutti
