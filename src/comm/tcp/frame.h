// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace tutti::comm {

/// What travels between the ranks of a job beside their tensors: 4 bytes of length, a kind, a body.
enum class FrameKind : uint8_t {
  beat,      ///< what the sender does, in every group that both are in
  ask,       ///< wants a beat at once, and `told` with the same number
  told,      ///< the answer
  note,      ///< a text for one group
  closing,   ///< the sender leaves a group once so many of its messages have come
  landed,    ///< they have
  proposal,  ///< a failure that the receiver is to decide on
  verdict,   ///< the failure of the job
  bye        ///< the last frame of a rank that leaves
};

/// Appends values as they lie in memory: all hosts of a job are of one kind.
class FrameWriter {
 public:
  explicit FrameWriter(FrameKind kind) : bytes_(sizeof(uint32_t), '\0') { put(kind); }
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_text(std::string_view text) { bytes_.append(text); }
  /// The frame, whose length is known now.
  std::string take() {
    const auto length = static_cast<uint32_t>(bytes_.size() - sizeof(uint32_t));
    memcpy(bytes_.data(), &length, sizeof length);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
};

/// Reads them back; once something is missing all further values are 0 and ok() is false.
class FrameReader {
 public:
  explicit FrameReader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T get() {
    T value{};
    ok_ = ok_ && bytes_.size() >= sizeof value;
    if (!ok_) return value;
    memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view rest() const { return bytes_; }
  bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

/// Longer ones are an error of the connection.
inline constexpr size_t kMostFrame = 1 << 20;

}  // namespace tutti::comm
