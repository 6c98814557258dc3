// SPDX-License-Identifier: Apache-2.0
#include "comm/store/request.h"

namespace tutti::comm {
namespace {

std::string little_endian(size_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

size_t number_of(std::string_view text) {
  size_t value = 0;
  for (size_t i = text.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(text[i]);
  return value;
}

std::string framed(const std::string& body) { return little_endian(body.size(), 4) + body; }

bool fits(const Request& r) {
  return !r.key.empty() && r.key.size() <= Store::kMostKeyBytes &&
         r.value.size() <= Store::kMostValueBytes;
}

}  // namespace

void check_request(const Request& request) {
  require_argument(fits(request), "store: key '", request.key.substr(0, 60), "' of ",
                   request.key.size(), " bytes with a value of ", request.value.size(), "; 1 to ",
                   Store::kMostKeyBytes, " and at most ", Store::kMostValueBytes, " are wanted");
}

std::string absent_text(std::string_view store, const std::string& key, double deadline_s) {
  return join("store ", store, ": key '", key, "' did not come within ", deadline_s, " s");
}

std::string frame_of(const Request& request) {
  return framed(static_cast<char>(request.kind) + little_endian(request.key.size(), 2) +
                request.key + request.value);
}

std::string frame_of(const Answer& answer) {
  return framed(static_cast<char>(answer.there) + answer.value);
}

std::optional<size_t> body_bytes(std::string_view head) {
  const size_t bytes = number_of(head.substr(0, kFrameHead));
  return bytes <= kMostFrameBytes ? std::optional(bytes) : std::nullopt;
}

std::optional<Request> request_of(std::string_view body) {
  if (body.size() < 3 || body[0] < Request::set || body[0] > Request::check) return {};
  const size_t key_bytes = number_of(body.substr(1, 2));
  if (body.size() - 3 < key_bytes) return {};
  Request request{static_cast<Request::Kind>(body[0]), std::string(body.substr(3, key_bytes)),
                  std::string(body.substr(3 + key_bytes))};
  return fits(request) ? std::optional(std::move(request)) : std::nullopt;
}

std::optional<Answer> answer_of(std::string_view body) {
  if (body.empty() || static_cast<uint8_t>(body[0]) > 1) return {};
  return Answer{body[0] == 1, std::string(body.substr(1))};
}

}  // namespace tutti::comm
