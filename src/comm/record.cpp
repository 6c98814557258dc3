// SPDX-License-Identifier: Apache-2.0
#include "comm/record.h"

#include <algorithm>
#include <cstring>

#include "core/text.h"

namespace tutti::comm {

std::string to_string(const Entry& e) {
  const Collective c{e.kind, e.dtype, e.reduce, e.root, e.count};
  std::string what = describe(c);
  what.erase(0, std::min(what.size(), to_string(e.kind).size() + 1));
  std::string text = title(e.kind, e.number, e.label);
  if (!what.empty()) text += join(" (", what, ")");
  return text;
}

void Record::begin(const Collective& c, uint64_t number, uint64_t label_hash, int64_t now_ns) {
  const auto put = [this](int word, uint64_t value) { words_[word].store(value, kRelaxed); };
  const bool rooted = has_root(c.kind) || is_pair(c.kind);
  const bool typed = c.kind != Kind::barrier;
  put(kEnd, 0);
  put(kNumber, number);
  put(kWhat, static_cast<uint64_t>(c.kind) |
                 static_cast<uint64_t>(typed ? c.dtype : DType::f64) << 8 |
                 static_cast<uint64_t>(reduces(c.kind) ? c.reduce : Reduce::sum) << 16 |
                 static_cast<uint64_t>(static_cast<uint32_t>(rooted ? c.root : 0)) << 32);
  put(kCount, typed && c.kind != Kind::all_to_all_v ? static_cast<uint64_t>(c.count) : 0);
  put(kHash, label_hash);
  put(kIn, 0);
  put(kOut, 0);
  put(kStart, static_cast<uint64_t>(now_ns));
  uint64_t text[Entry::kLabelBytes / 8] = {};
  if (!c.label.empty())
    std::memcpy(text, c.label.data(), std::min(c.label.size(), Entry::kLabelBytes));
  for (size_t i = 0; i < std::size(text); ++i) put(kLabel + static_cast<int>(i), text[i]);
}

void Record::set_buffers(const void* in, void* out) {
  words_[kIn].store(reinterpret_cast<uint64_t>(in), kRelaxed);
  words_[kOut].store(reinterpret_cast<uint64_t>(out), kRelaxed);
}

bool Record::matches(const Record& other) const {
  for (int word : {kNumber, kWhat, kCount, kHash})
    if (words_[word].load(kRelaxed) != other.words_[word].load(kRelaxed)) return false;
  return true;
}

Entry Record::read() const {
  const auto get = [this](int word) { return words_[word].load(kRelaxed); };
  Entry e;
  e.number = get(kNumber);
  const uint64_t what = get(kWhat);
  e.kind = static_cast<Kind>(what & 255);
  e.dtype = static_cast<DType>(what >> 8 & 255);
  e.reduce = static_cast<Reduce>(what >> 16 & 255);
  e.root = static_cast<int>(what >> 32);
  e.count = static_cast<int64_t>(get(kCount));
  e.label_hash = get(kHash);
  e.start_ns = static_cast<int64_t>(get(kStart));
  e.end_ns = static_cast<int64_t>(get(kEnd));
  uint64_t text[Entry::kLabelBytes / 8];
  for (size_t i = 0; i < std::size(text); ++i) text[i] = get(kLabel + static_cast<int>(i));
  const char* label = reinterpret_cast<const char*>(text);
  e.label.assign(label, strnlen(label, Entry::kLabelBytes));
  return e;
}

void Record::pack(uint64_t* words) const {
  for (int word = 0; word < kWords; ++word)
    if (word != kIn && word != kOut) *words++ = words_[word].load(kRelaxed);
}

void Record::unpack(const uint64_t* words, int64_t shift_ns) {
  for (int word = 0; word < kWords; ++word) {
    uint64_t value = word == kIn || word == kOut ? 0 : *words++;
    if ((word == kStart || word == kEnd) && value != 0) value += static_cast<uint64_t>(shift_ns);
    words_[word].store(value, kRelaxed);
  }
}

uint64_t hash_label(std::string_view label) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : label) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace tutti::comm
