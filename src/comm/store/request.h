// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "comm/store.h"
#include "core/error.h"

namespace tutti::comm {

/// What a client asks of a store.
struct Request {
  enum Kind : uint8_t { set, get, check };
  Kind kind = check;
  std::string key, value;
};

/// What it is told: the value of a get, and whether the key is there.
struct Answer {
  bool there = true;
  std::string value;
};

/// Throws invalid_argument for a key or value that no store takes.
void check_request(const Request& request);

/// "store HOST:PORT: key 'k' did not come within 5 s"
std::string absent_text(std::string_view store, const std::string& key, double deadline_s);

/// Frames on a connection: 4 bytes of length, least first, and so many bytes.
std::string frame_of(const Request& request);
std::string frame_of(const Answer& answer);
inline constexpr size_t kFrameHead = 4;
inline constexpr size_t kMostFrameBytes = Store::kMostKeyBytes + Store::kMostValueBytes + 3;
/// The length in a frame's head; none when it is more than kMostFrameBytes.
std::optional<size_t> body_bytes(std::string_view head);
/// The body of a frame; none for what frame_of does not make.
std::optional<Request> request_of(std::string_view body);
std::optional<Answer> answer_of(std::string_view body);

}  // namespace tutti::comm
