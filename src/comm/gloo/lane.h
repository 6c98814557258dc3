// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tutti::comm {

/// Carries bytes of one lane to the other end, where memory lies in the same way.
class Port {
 public:
  virtual ~Port() = default;
  /// Copies bytes [at, at + bytes) to the other end, in the order of calls. Never throws: whether
  /// a rank is gone is not for the wire to say.
  virtual void put(size_t at, size_t bytes) noexcept = 0;
  /// The same for the word that acknowledges.
  virtual void put_acknowledgement() noexcept = 0;
  /// Called when a message was seen: what it wrote is visible after this.
  virtual void settle() noexcept = 0;
};

/// Messages between two ranks, in order in each direction: a ring of places for each.
///
/// A message is written from the end of its place backwards; the last byte there, the bell, is the
/// last to be written, and tells that the message is there. A place is free again when the other
/// end says how many messages it has taken: along with each message it sends, or else alone.
/// Between processes that share memory both ends use the same bytes; over a wire each has a copy.
class Lane {
 public:
  struct Shape {
    size_t place_bytes = 0;  // a multiple of 64
    uint32_t places = 0;     // a power of 2, at most 64
    size_t bytes() const { return kHead + place_bytes * places; }
    /// Of the largest message.
    size_t capacity() const { return place_bytes - kTail; }
  };

  /// `out` and `in` are shape.bytes() bytes each, all zero at first; no port when they are shared.
  Lane(const Shape& shape, std::byte* out, std::byte* in, std::unique_ptr<Port> port);

  /// Whether a message can be sent now.
  bool has_room();
  /// Where its payload goes; aligned to 64 bytes.
  std::byte* place(size_t bytes) { return place_end(out_, sent_) - span(bytes); }
  void send(size_t bytes);

  /// Whether a message has come.
  bool has_message();
  std::span<const std::byte> front() const;
  void pop();

  uint64_t sent() const { return sent_; }
  /// Whether so many messages have come, taken or not. Any thread may ask.
  bool has_come(uint64_t count) const;

 private:
  struct Tail {
    uint32_t bytes;
    uint8_t taken;  // of the other direction, modulo 256
    uint8_t unused[10];
    uint8_t bell;
  };
  static constexpr size_t kHead = 64;  // the acknowledgement
  static constexpr size_t kTail = 64;  // at most, with padding of the payload
  static_assert(sizeof(Tail) == 16);

  static size_t span(size_t bytes) { return (bytes + sizeof(Tail) + 63) / 64 * 64; }
  std::byte* place_end(std::byte* ring, uint64_t message) const {
    return ring + kHead + (message % shape_.places + 1) * shape_.place_bytes;
  }
  Tail& tail(std::byte* ring, uint64_t message) const {
    return reinterpret_cast<Tail*>(place_end(ring, message))[-1];
  }
  /// What the bell of a message shows: not what the one before in its place did.
  uint8_t bell_of(uint64_t message) const {
    return static_cast<uint8_t>(message / shape_.places % 255 + 1);
  }
  void hear(uint8_t taken);

  Shape shape_;
  std::byte* out_;
  std::byte* in_;
  std::unique_ptr<Port> port_;
  uint64_t sent_ = 0, freed_ = 0;  // messages of this end; those that the other has taken
  uint64_t taken_ = 0, told_ = 0;  // messages of the other end; those that it knows to be taken
  bool seen_ = false;              // the next one, by has_message
};

}  // namespace tutti::comm
