// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_archive.h"

#include <algorithm>

#include "core/error.h"
#include "import/little_endian.h"
#include "import/pt2_types.h"

namespace tutti {
namespace {

constexpr std::string_view kOldestLayout = "serialized_exported_program.json";
constexpr std::string_view kModels = "models/";
constexpr std::string_view kJson = ".json";
constexpr uint64_t kMaxExpanded = uint64_t{1} << 30;  // bytes of a tensor larger than its payload

// The integer of a size, stride or offset.
int64_t concrete(const Json& json) {
  if (json.find("as_expr")) json.refuse(Errc::unsupported, "is symbolic in a stored tensor");
  return json.at("as_int").as_int();
}

Dims concrete_list(const Json& json) {
  std::vector<int64_t> values;
  for (Json value : json.array()) values.push_back(concrete(value));
  if (values.size() > Dims::kMaxRank)
    json.refuse(Errc::unsupported, "has ", values.size(), " dimensions; at most ", Dims::kMaxRank,
                " can be read");
  return Dims(values);
}

// The view of the payload's numbers that the schema's tensor_meta describes.
StorageView read_view(const Json& meta) {
  const int64_t scalar_type = meta.at("dtype").as_int();
  const auto type = pt2::element_type(scalar_type);
  if (!type)
    meta.refuse(Errc::unsupported, "has element type ", pt2::scalar_type_name(scalar_type));
  if (const int64_t layout = meta.at("layout").as_int(); layout != pt2::kStridedLayout)
    meta.refuse(Errc::unsupported, "has layout ", layout, "; only dense tensors can be read");
  StorageView view{type->dtype, concrete_list(meta.at("sizes")), concrete_list(meta.at("strides")),
                   concrete(meta.at("storage_offset"))};
  if (view.shape.rank() != view.strides.rank())
    meta.refuse(Errc::corrupt, "has ", view.shape.rank(), " sizes but ", view.strides.rank(),
                " strides");
  if (!type->is_complex) return view;
  if (view.shape.rank() == Dims::kMaxRank)
    meta.refuse(Errc::unsupported, "has ", Dims::kMaxRank, " dimensions of complex numbers");
  bool fits = !__builtin_mul_overflow(view.offset, 2, &view.offset);
  for (int64_t& stride : view.strides) fits = fits && !__builtin_mul_overflow(stride, 2, &stride);
  if (!fits) meta.refuse(Errc::corrupt, "has a stride or offset that is too large");
  view.shape.push_back(2);
  view.strides.push_back(1);
  return view;
}

}  // namespace

Pt2Archive::Pt2Archive(std::shared_ptr<const MappedFile> file, std::string_view model)
    : zip_(std::move(file)) {
  check_kind();
  const std::string_view first = zip_.entries()[0].name;
  root_ = first.substr(0, first.find('/') + 1);
  check_header();
  choose_model(model);
  check_layout();
  read_config("data/weights/", "_weights_config.json");
  read_config("data/constants/", "_constants_config.json");
  sort_tensors();
}

const ZipEntry* Pt2Archive::find_entry(std::string_view path) const {
  return zip_.find(join(root_, path));
}

std::string_view Pt2Archive::text(std::string_view path) const {
  const ZipEntry* entry = find_entry(path);
  require(entry != nullptr, Errc::corrupt, this->path(), ": has no ", root_, path,
          "; an exported program was expected, as torch.export.save writes it");
  std::string_view text = as_text(zip_.bytes(*entry));
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

void Pt2Archive::check_kind() const {
  require(!zip_.entries().empty(), Errc::corrupt, path(), ": is an empty archive");
  if (const ZipEntry* program = zip_.find(kOldestLayout))
    refuse_old("the layout of 2.7 and before, without a root folder", *program);
  for (const ZipEntry& entry : zip_.entries())
    require(!entry.name.ends_with("/data.pkl"), Errc::unsupported, path(),
            ": is a torch.save or TorchScript file (it has ", entry.name,
            "); export the model with torch.export.export and torch.export.save");
}

void Pt2Archive::check_header() const {
  const std::string_view format = text("archive_format");
  require(format == "pt2", Errc::unsupported, path(), ": has archive format ", format,
          "; pt2 can be read");
  const std::string_view version = text("archive_version");
  require(version == "0", Errc::unsupported, path(), ": has archive version ", version,
          "; 0 can be read");
  const std::string_view order = text("byteorder");
  require(order == "little", Errc::unsupported, path(), ": has byte order ", order,
          "; little can be read");
}

void Pt2Archive::choose_model(std::string_view model) {
  std::vector<std::string> names;
  const std::string prefix = join(root_, kModels);
  for (const ZipEntry& entry : zip_.entries()) {
    if (!entry.name.starts_with(prefix) || !entry.name.ends_with(kJson)) continue;
    const std::string_view name =
        entry.name.substr(prefix.size(), entry.name.size() - prefix.size() - kJson.size());
    if (name.find('/') == std::string_view::npos) names.emplace_back(name);
  }
  require(!names.empty(), Errc::not_found, path(), ": holds no program (no ", prefix,
          "*.json), as a package compiled by AOTInductor does; save one with torch.export.save");
  if (model.empty()) model = names.size() == 1 ? std::string_view(names[0]) : "model";
  require(std::find(names.begin(), names.end(), model) != names.end(), Errc::not_found, path(),
          ": has no model called ", model, "; it has ", join_list(names));
  model_ = model;
}

void Pt2Archive::check_layout() const {
  if (find_entry(join("data/weights/", model_, "_weights_config.json")) != nullptr) return;
  const ZipEntry* program = find_entry(join(kModels, model_, kJson));
  if (find_entry(join("data/weights/", model_, ".pt")) != nullptr)
    refuse_old("the layout of 2.8, with pickled weights", *program);
}

void Pt2Archive::refuse_old(std::string_view layout, const ZipEntry& program) const {
  std::string version = "an older PyTorch";
  try {
    const auto json = JsonDocument::parse(zip_.bytes(program), "");
    if (auto text = json->root().find("torch_version"))
      version = join("PyTorch ", text->as_string());
  } catch (const Error&) {
    // The version is a courtesy; the file is refused all the same.
  }
  fail(Errc::unsupported, path(), ": was saved by ", version, " in ", layout,
       "; load it with torch.export.load and save it again with PyTorch 2.9 or later");
}

void Pt2Archive::read_config(std::string_view folder, std::string_view suffix) {
  const ZipEntry* entry = find_entry(join(folder, model_, suffix));
  require(entry != nullptr, Errc::corrupt, path(), ": has no ", root_, folder, model_, suffix);
  configs_.push_back(JsonDocument::parse(zip_.bytes(*entry), zip_.where(*entry)));
  for (const auto& [tensor, json] : configs_.back()->root().at("config").object())
    tensors_.push_back(read_tensor(folder, tensor, json));
}

StoredTensor Pt2Archive::read_tensor(std::string_view folder, std::string_view name,
                                     const Json& json) const {
  if (json.at("use_pickle").as_bool())
    json.refuse(Errc::unsupported,
                "is stored as a pickle, which PyTorch does for tensor subclasses and custom "
                "objects; only plain tensors can be read");
  StoredTensor tensor;
  tensor.name = name;
  tensor.path_name = json.at("path_name").as_string();
  tensor.is_param = json.at("is_param").as_bool();
  const Json meta = json.at("tensor_meta");
  tensor.view = read_view(meta);
  tensor.is_meta = meta.at("device").at("type").as_string() == "meta";
  if (!bytes_spanned(tensor.view))
    meta.refuse(Errc::corrupt, describe(tensor.view.dtype, tensor.view.shape), " with strides ",
                tensor.view.strides, " from element ", tensor.view.offset,
                " is negative or too large");
  if (!tensor.is_meta) read_payload(folder, json, tensor);
  return tensor;
}

void Pt2Archive::read_payload(std::string_view folder, const Json& json,
                              StoredTensor& tensor) const {
  const uint64_t wanted = *bytes_spanned(tensor.view);
  const ZipEntry* entry = find_entry(join(folder, tensor.path_name));
  if (entry != nullptr) tensor.storage = zip_.bytes(*entry);
  if (entry == nullptr && wanted > 0)
    json.refuse(Errc::corrupt, "the archive has no ", root_, folder, tensor.path_name);
  if (wanted > tensor.storage.size())
    json.refuse(Errc::corrupt, describe(tensor.view.dtype, tensor.view.shape), " with strides ",
                tensor.view.strides, " from element ", tensor.view.offset, " takes ", wanted,
                " bytes; ", tensor.path_name, " has ", tensor.storage.size());
  const auto dense =
      static_cast<uint64_t>(elements(tensor.view.shape)) * size_of(tensor.view.dtype);
  if (dense > std::max<uint64_t>(tensor.storage.size(), kMaxExpanded))
    json.refuse(Errc::unsupported, describe(tensor.view.dtype, tensor.view.shape), " repeats ",
                wanted, " stored bytes as ", dense, "; at most ", kMaxExpanded, " can be read");
}

void Pt2Archive::sort_tensors() {
  const auto before = [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; };
  std::sort(tensors_.begin(), tensors_.end(), before);
  const auto twice = std::adjacent_find(
      tensors_.begin(), tensors_.end(),
      [](const StoredTensor& a, const StoredTensor& b) { return a.name == b.name; });
  if (twice != tensors_.end())
    fail(Errc::corrupt, path(), ": ", twice->name, ": is stored twice, as ", twice->path_name,
         " and ", (twice + 1)->path_name);
}

std::vector<std::string> Pt2Archive::names() const {
  std::vector<std::string> names;
  for (const StoredTensor& tensor : tensors_)
    if (!tensor.is_meta) names.emplace_back(tensor.name);
  return names;
}

const StoredTensor* Pt2Archive::find_stored(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const StoredTensor& a, std::string_view n) { return a.name < n; });
  return found == tensors_.end() || found->name != name ? nullptr : &*found;
}

std::optional<Tensor> Pt2Archive::find(std::string_view name) const {
  const StoredTensor* tensor = find_stored(name);
  if (tensor == nullptr || tensor->is_meta) return std::nullopt;
  return tensor_in_file(zip_.file(), tensor->storage, tensor->view, name);
}

std::span<const std::byte> Pt2Archive::program() const {
  return zip_.bytes(*find_entry(join(kModels, model_, kJson)));
}

std::string Pt2Archive::program_name() const { return join(path(), ": ", kModels, model_, kJson); }

std::optional<std::span<const std::byte>> Pt2Archive::extra(std::string_view name) const {
  const ZipEntry* entry = find_entry(join("extra/", name));
  if (entry == nullptr) return std::nullopt;
  return zip_.bytes(*entry);
}

}  // namespace tutti
