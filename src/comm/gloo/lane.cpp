// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/lane.h"

namespace tutti::comm {
namespace {

std::atomic_ref<uint8_t> shared(const uint8_t& byte) {
  return std::atomic_ref<uint8_t>(const_cast<uint8_t&>(byte));
}
std::atomic_ref<uint8_t> shared(std::byte* byte) {
  return std::atomic_ref<uint8_t>(reinterpret_cast<uint8_t&>(*byte));
}

}  // namespace

Lane::Lane(const Shape& shape, std::byte* out, std::byte* in, std::unique_ptr<Port> port)
    : shape_(shape), out_(out), in_(in), port_(std::move(port)) {}

/// Takes over a count that is at most so much later; older ones come as well.
void Lane::hear(uint8_t taken) {
  const auto more = static_cast<uint8_t>(taken - static_cast<uint8_t>(freed_));
  if (more <= sent_ - freed_) freed_ += more;
}

bool Lane::has_room() {
  if (sent_ - freed_ < shape_.places) return true;
  hear(shared(in_).load(std::memory_order_acquire));
  return sent_ - freed_ < shape_.places;
}

void Lane::send(size_t bytes) {
  Tail& t = tail(out_, sent_);
  t.bytes = static_cast<uint32_t>(bytes);
  t.taken = static_cast<uint8_t>(taken_);
  shared(t.bell).store(bell_of(sent_), std::memory_order_release);
  if (port_) {
    told_ = taken_;
    port_->put(static_cast<size_t>(place(bytes) - out_), span(bytes));
  }
  ++sent_;
}

bool Lane::has_message() {
  if (seen_) return true;
  if (!has_come(taken_ + 1)) return false;
  if (port_) port_->settle();
  seen_ = true;
  hear(tail(in_, taken_).taken);
  return true;
}

bool Lane::has_come(uint64_t count) const {
  if (count == 0) return true;
  return shared(tail(in_, count - 1).bell).load(std::memory_order_acquire) == bell_of(count - 1);
}

std::span<const std::byte> Lane::front() const {
  const size_t bytes = tail(in_, taken_).bytes;
  return {place_end(in_, taken_) - span(bytes), bytes};
}

void Lane::pop() {
  seen_ = false;
  ++taken_;
  // Over a wire it costs a message: only when none goes the other way for long.
  if (port_ && taken_ - told_ < shape_.places / 2) return;
  told_ = taken_;
  shared(out_).store(static_cast<uint8_t>(taken_), std::memory_order_release);
  if (port_) port_->put_acknowledgement();
}

}  // namespace tutti::comm
