// SPDX-License-Identifier: Apache-2.0
#include "comm/shm/segment.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr size_t kPage = 4096;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

void* map_memory(int fd, size_t bytes) {
  const int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  require(base != MAP_FAILED, Errc::io, "cannot map ", bytes,
          " bytes of shared memory: ", strerror(errno));
  return base;
}

}  // namespace

Segment::Offsets Segment::offsets(const Layout& layout) {
  const auto ranks = static_cast<size_t>(layout.size);
  Offsets at{};
  at.counts = round_up(kRanks + ranks * sizeof(RankBlock), kPage);
  at.channels = at.counts + round_up(kBuffers * ranks * 2 * ranks * sizeof(int64_t), kPage);
  at.slots = at.channels + round_up(ranks * ranks * sizeof(Channel), kPage);
  at.buffers =
      at.slots + round_up(ranks * ranks * Channel::kSlots * layout.pair_chunk_bytes, kPage);
  at.area = at.buffers + round_up(ranks * kBuffers * layout.chunk_bytes, kPage);
  at.end = at.area + round_up(layout.area_bytes, kPage);
  return at;
}

std::shared_ptr<Segment> Segment::of_threads(const Layout& layout) {
  return std::shared_ptr<Segment>(new Segment(map_memory(-1, offsets(layout).end), layout));
}

Fd Segment::create(const Layout& layout) {
  Fd fd(memfd_create("tutti", MFD_CLOEXEC));
  require(fd.get() >= 0, Errc::io, "cannot make shared memory: ", strerror(errno));
  const size_t bytes = offsets(layout).end;
  require(ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0, Errc::io, "cannot make ", bytes,
          " bytes of shared memory: ", strerror(errno));
  return fd;
}

std::shared_ptr<Segment> Segment::map(const Fd& fd, const Layout& layout) {
  return std::shared_ptr<Segment>(new Segment(map_memory(fd.get(), offsets(layout).end), layout));
}

Segment::~Segment() { munmap(base_, at_.end); }

int64_t* Segment::counts(int r, uint64_t buffer) {
  const auto ranks = static_cast<size_t>(layout_.size);
  const size_t row = (buffer % kBuffers) * ranks + static_cast<size_t>(r);
  return reinterpret_cast<int64_t*>(base_ + at_.counts) + row * 2 * ranks;
}

std::byte* Segment::buffer(int r, uint64_t buffer) {
  const size_t index = static_cast<size_t>(r) * kBuffers + buffer % kBuffers;
  return base_ + at_.buffers + index * layout_.chunk_bytes;
}

Channel& Segment::channel(int from, int to) {
  return reinterpret_cast<Channel*>(base_ + at_.channels)[from * layout_.size + to];
}

std::byte* Segment::channel_slot(int from, int to, uint32_t slot) {
  const auto index =
      static_cast<size_t>(from * layout_.size + to) * Channel::kSlots + slot % Channel::kSlots;
  return base_ + at_.slots + index * layout_.pair_chunk_bytes;
}

}  // namespace tutti::comm
