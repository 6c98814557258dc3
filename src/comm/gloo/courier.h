// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>

#include "comm/gloo/form.h"
#include "comm/reduce.h"
#include "comm/tcp/group.h"

namespace tutti::comm {

/// A run of bytes.
struct Block {
  const std::byte* data = nullptr;
  size_t bytes = 0;
};

/// Messages of one collective: waits for them end as those of the group do.
class Courier {
 public:
  Courier(TcpGroup& group, Lanes& lanes, const Record& record)
      : group_(group), lanes_(lanes), record_(record) {}

  int rank() const { return group_.rank(); }
  int size() const { return group_.size(); }
  /// Of the largest message.
  size_t capacity() const { return lanes_.capacity(); }

  /// Where a message of so many bytes to rank r is put together; go() sends it.
  std::byte* room(int r, size_t bytes) {
    Lane& lane = lanes_.collective(r);
    group_.wait(record_, [&] { return lane.has_room() ? 0 : TcpGroup::bit(r); });
    return lane.place(bytes);
  }
  void go(int r, size_t bytes) { lanes_.collective(r).send(bytes); }
  void send(int r, Block block) {
    copy_bytes(room(r, block.bytes), block.data, block.bytes);
    go(r, block.bytes);
  }

  /// Waits until each of these ranks has sent a message.
  void await(uint64_t ranks) {
    group_.wait(record_, [&] {
      for (uint64_t left = ranks; left != 0; left &= left - 1)
        if (lanes_.collective(std::countr_zero(left)).has_message()) ranks ^= left & -left;
      return ranks;
    });
  }
  /// The message of rank r that was awaited, until it is taken.
  Block front(int r) {
    const auto message = lanes_.collective(r).front();
    return {message.data(), message.size()};
  }
  void take(int r) { lanes_.collective(r).pop(); }
  void take_all(uint64_t ranks) {
    for (; ranks != 0; ranks &= ranks - 1) take(std::countr_zero(ranks));
  }

 private:
  TcpGroup& group_;
  Lanes& lanes_;
  const Record& record_;
};

}  // namespace tutti::comm
