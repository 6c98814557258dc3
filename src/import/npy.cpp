// SPDX-License-Identifier: Apache-2.0
#include "import/npy.h"

#include <array>
#include <charconv>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/output_file.h"
#include "import/little_endian.h"
#include "import/mapped_tensor.h"
#include "import/zip.h"
#include "import/zip_writer.h"

namespace tutti {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeaderBegin = 10;  // of format 1
constexpr size_t kAlignment = 64;

struct NumpyType {
  std::string_view descr;
  DType dtype;
};

constexpr std::array<NumpyType, 9> kTypes = {{{"<f8", DType::f64},
                                              {"<f4", DType::f32},
                                              {"<f2", DType::f16},
                                              {"<i8", DType::i64},
                                              {"<i4", DType::i32},
                                              {"<i2", DType::i16},
                                              {"|i1", DType::i8},
                                              {"|u1", DType::u8},
                                              {"|b1", DType::boolean}}};

// The header of a .npy file: a Python dictionary of a string, a boolean and a tuple of integers.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  StorageView read() {
    expect('{');
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        require(peek() == '\'' || peek() == '"', Errc::unsupported, where_,
                ": has a structured element type; only plain numbers can be read");
        descr_ = string();
      } else if (key == "fortran_order") {
        fortran_ = boolean();
      } else if (key == "shape") {
        shape_ = shape();
      } else {
        bad("an unknown key");
      }
      if (!take(',') && peek() != '}') bad("no comma");
    }
    peek();
    if (at_ != text_.size()) bad("something after its dictionary");
    require(descr_ && fortran_ && shape_, Errc::corrupt, where_,
            ": its header lacks descr, fortran_order or shape");
    return view();
  }

 private:
  [[noreturn]] void bad(std::string_view what) const {
    fail(Errc::corrupt, where_, ": its header has ", what, " at byte ", at_);
  }

  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) bad(join("no ", c));
  }

  std::string_view string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') bad("no string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) bad("an open string");
    const std::string_view value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return value;
  }

  bool boolean() {
    peek();
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += std::string_view(word).size();
      return value;
    }
    bad("no boolean");
  }

  std::vector<int64_t> shape() {
    std::vector<int64_t> extents;
    expect('(');
    while (!take(')')) {
      peek();
      int64_t extent = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) bad("no extent");
      at_ += static_cast<size_t>(end - begin);
      extents.push_back(extent);
      take('L');  // as Python 2 wrote them
      if (!take(',') && peek() != ')') bad("no comma");
    }
    return extents;
  }

  StorageView view() const {
    require(shape_->size() <= Dims::kMaxRank, Errc::unsupported, where_, ": has ", shape_->size(),
            " dimensions; at most ", Dims::kMaxRank, " can be read");
    for (const auto& [descr, dtype] : kTypes) {
      const bool any_order = size_of(dtype) == 1;
      if (any_order ? descr.substr(1) != descr_->substr(std::min<size_t>(1, descr_->size()))
                    : descr != *descr_)
        continue;
      auto view = contiguous_view(dtype, Dims(*shape_));
      require(view.has_value(), Errc::corrupt, where_, ": its shape has too many elements");
      if (*fortran_) {
        int64_t stride = 1;
        for (int i = 0; i < view->shape.rank(); ++i) {
          view->strides[i] = stride;
          stride *= std::max<int64_t>(view->shape[i], 1);
        }
      }
      return *view;
    }
    fail(Errc::unsupported, where_, ": has element type ", *descr_,
         "; f8, f4, f2, i8, i4, i2, i1, u1 and b1 in little-endian order can be read");
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  std::optional<std::string_view> descr_;
  std::optional<bool> fortran_;
  std::optional<std::vector<int64_t>> shape_;
};

Tensor read_array(const std::shared_ptr<const MappedFile>& file, std::span<const std::byte> bytes,
                  const std::string& where, std::string_view name) {
  require(as_text(bytes).starts_with(kMagic) && bytes.size() >= kHeaderBegin, Errc::corrupt, where,
          ": is no .npy file");
  const int major = static_cast<int>(bytes[6]);
  require(major >= 1 && major <= 3, Errc::unsupported, where, ": has .npy format ", major,
          "; 1 to 3 can be read");
  const size_t begin = major == 1 ? kHeaderBegin : kHeaderBegin + 2;
  require(bytes.size() >= begin, Errc::corrupt, where, ": is cut off in its header");
  const size_t length =
      major == 1 ? load_little<uint16_t>(bytes, 8) : load_little<uint32_t>(bytes, 8);
  require(fits(begin, length, bytes.size()), Errc::corrupt, where, ": is cut off in its header");
  const StorageView view = HeaderReader(as_text(bytes.subspan(begin, length)), where).read();
  const auto data = bytes.subspan(begin + length);
  const uint64_t wanted = *bytes_spanned(view);
  require(data.size() == wanted, Errc::corrupt, where, ": has ", data.size(), " bytes of data; ",
          describe(view.dtype, view.shape), " takes ", wanted);
  return tensor_in_file(file, data, view, name);
}

std::string make_header(const Tensor& tensor, const std::string& where) {
  for (const auto& [descr, dtype] : kTypes) {
    if (dtype != tensor.dtype) continue;
    std::string text = join("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                            join_list(tensor.shape), tensor.rank() == 1 ? "," : "", "), }");
    // Data starts at a multiple of the alignment; the last byte before it is a new line.
    const size_t begin = (kHeaderBegin + text.size()) / kAlignment * kAlignment + kAlignment;
    text.resize(begin - kHeaderBegin - 1, ' ');
    text += '\n';
    std::string header(kMagic);
    header += '\1';
    header += '\0';
    append_little<uint16_t>(header, static_cast<uint16_t>(text.size()));
    return header + text;
  }
  fail(Errc::invalid_argument, where, ": numpy has no element type ", tensor.dtype,
       "; write a .safetensors file or convert to f32");
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data), tensor.bytes()};
}

Tensor dense(const Tensor& tensor) { return tensor.is_contiguous() ? tensor : contiguous(tensor); }

}  // namespace

Tensor read_npy(const std::shared_ptr<const MappedFile>& file) {
  return read_array(file, file->bytes(), file->path(), "its array");
}

std::vector<NamedTensor> read_npz(const std::shared_ptr<const MappedFile>& file) {
  const ZipArchive zip(file);
  std::vector<NamedTensor> tensors;
  for (const ZipEntry& entry : zip.entries()) {
    require(entry.name.ends_with(".npy"), Errc::corrupt, zip.where(entry), ": is no .npy file");
    const std::string_view name = entry.name.substr(0, entry.name.size() - 4);
    tensors.push_back(
        {std::string(name), read_array(file, zip.bytes(entry), zip.where(entry), entry.name)});
  }
  return tensors;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const std::string header = make_header(tensor, path);
  OutputFile file(path);
  file.write(header);
  file.write(bytes_of(dense(tensor)));
  file.commit();
}

void write_npz(const std::string& path, std::span<const NamedTensor> tensors) {
  ZipWriter zip(path);
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    require_argument(names.insert(name).second, path, ": two tensors are called ", name);
    const std::string header = make_header(tensor, join(path, ": ", name));
    const Tensor data = dense(tensor);
    const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(header)), bytes_of(data)};
    zip.add(name + ".npy", pieces);
  }
  zip.commit();
}

}  // namespace tutti
