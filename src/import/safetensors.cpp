// SPDX-License-Identifier: Apache-2.0
#include "import/safetensors.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/error.h"
#include "core/output_file.h"
#include "import/little_endian.h"
#include "import/mapped_tensor.h"

namespace tutti {
namespace {

constexpr std::string_view kMetadata = "__metadata__";
constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own library
constexpr size_t kLengthBytes = 8;
constexpr size_t kAlignment = 8;

constexpr std::array<std::string_view, kDTypeCount> kTypeNames = {
    "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", "I16", "I8", "U8", "BOOL"};

std::optional<DType> find_type(std::string_view name) {
  const auto found = std::find(kTypeNames.begin(), kTypeNames.end(), name);
  if (found == kTypeNames.end()) return std::nullopt;
  return static_cast<DType>(found - kTypeNames.begin());
}

std::string make_header(std::span<const NamedTensor* const> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    append_json_string(header, kMetadata);
    header += ":{";
    for (const auto& [key, value] : metadata) {
      append_json_string(header, key);
      header += ':';
      append_json_string(header, value);
      header += ',';
    }
    header.back() = '}';
    header += ',';
  }
  size_t end = 0;
  for (const NamedTensor* named : tensors) {
    const Tensor& tensor = named->tensor;
    const size_t begin = end;
    end += tensor.bytes();
    append_json_string(header, named->name);
    header +=
        join(":{\"dtype\":\"", kTypeNames[static_cast<size_t>(tensor.dtype)], "\",\"shape\":[",
             join_list(tensor.shape, ","), "],\"data_offsets\":[", begin, ",", end, "]},");
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return header;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const auto bytes = file_->bytes();
  require(bytes.size() > kLengthBytes, Errc::corrupt, path(),
          ": is no .safetensors file: ", bytes.size(), " bytes, too short for one");
  const uint64_t length = load_little<uint64_t>(bytes, 0);
  require(length <= kMaxHeader && fits(kLengthBytes, length, bytes.size()) &&
              bytes[kLengthBytes] == std::byte{'{'},
          Errc::corrupt, path(), ": is no .safetensors file or was cut off: a header of ", length,
          " bytes in a file of ", bytes.size());
  header_ = JsonDocument::parse(bytes.subspan(kLengthBytes, length), path() + ": header");
  const auto data = bytes.subspan(kLengthBytes + length);
  for (const auto& [name, json] : header_->root().object()) {
    if (name == kMetadata) {
      for (const auto& [key, value] : json.object()) metadata_.emplace(key, value.as_string());
    } else {
      read_entry(name, json, data);
    }
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.name == b.name; });
  if (twice != entries_.end())
    fail(Errc::corrupt, path(), ": header: ", twice->name, ": occurs twice");
  check_overlap();
}

void SafetensorsFile::read_entry(std::string_view name, const Json& json,
                                 std::span<const std::byte> data) {
  Entry entry{name, json.at("dtype").as_string(), {}, {}, json};
  for (Json extent : json.at("shape").array()) {
    entry.shape.push_back(extent.as_int());
    if (entry.shape.back() < 0) extent.refuse(Errc::corrupt, "is negative");
  }
  std::vector<int64_t> offsets;
  for (Json offset : json.at("data_offsets").array()) offsets.push_back(offset.as_int());
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0])
    json.refuse(Errc::corrupt, "data_offsets [", join_list(offsets), "] are no begin and end");
  const auto begin = static_cast<uint64_t>(offsets[0]);
  const auto size = static_cast<uint64_t>(offsets[1] - offsets[0]);
  if (!fits(begin, size, data.size()))
    json.refuse(Errc::corrupt, "ends at byte ", offsets[1], " of ", data.size(), " bytes of data");
  entry.bytes = data.subspan(begin, size);
  check_size(entry);
  entries_.push_back(std::move(entry));
}

void SafetensorsFile::check_size(const Entry& entry) const {
  const auto dtype = find_type(entry.dtype);
  if (!dtype || entry.shape.size() > Dims::kMaxRank) return;
  const auto view = contiguous_view(*dtype, Dims(entry.shape));
  const auto wanted = view ? bytes_spanned(*view) : std::nullopt;
  if (!wanted) entry.json.refuse(Errc::corrupt, "has too many elements");
  if (*wanted != entry.bytes.size())
    entry.json.refuse(Errc::corrupt, "has ", entry.bytes.size(), " bytes; ",
                      describe(*dtype, view->shape), " takes ", *wanted);
}

void SafetensorsFile::check_overlap() const {
  std::vector<const Entry*> order;
  for (const Entry& entry : entries_)
    if (!entry.bytes.empty()) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return a->bytes.data() < b->bytes.data(); });
  for (size_t i = 1; i < order.size(); ++i)
    require(order[i - 1]->bytes.data() + order[i - 1]->bytes.size() <= order[i]->bytes.data(),
            Errc::corrupt, path(), ": ", order[i - 1]->name, " and ", order[i]->name, " overlap");
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.emplace_back(entry.name);
  return names;
}

std::optional<Tensor> SafetensorsFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const Entry& entry, std::string_view n) { return entry.name < n; });
  if (found == entries_.end() || found->name != name) return std::nullopt;
  const auto dtype = find_type(found->dtype);
  require(dtype.has_value(), Errc::unsupported, path(), ": ", name, ": has element type ",
          found->dtype, "; ", join_list(kTypeNames), " can be read");
  require(found->shape.size() <= Dims::kMaxRank, Errc::unsupported, path(), ": ", name, ": has ",
          found->shape.size(), " dimensions; at most ", Dims::kMaxRank, " can be read");
  return tensor_in_file(file_, found->bytes, *contiguous_view(*dtype, Dims(found->shape)), name);
}

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  std::set<std::string_view> names;
  for (const NamedTensor& tensor : tensors) {
    require_argument(tensor.name != kMetadata && names.insert(tensor.name).second, path,
                     ": two tensors are called ", tensor.name, ", or it is a reserved name");
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const size_t size_a = size_of(a->tensor.dtype), size_b = size_of(b->tensor.dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  const std::string header = make_header(order, metadata);
  std::string length;
  append_little<uint64_t>(length, header.size());

  OutputFile file(path);
  file.write(length + header);
  for (const NamedTensor* tensor : order) {
    const Tensor dense =
        tensor->tensor.is_contiguous() ? tensor->tensor : contiguous(tensor->tensor);
    file.write({static_cast<const std::byte*>(dense.data), dense.bytes()});
  }
  file.commit();
}

}  // namespace tutti
