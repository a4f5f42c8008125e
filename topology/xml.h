// A small strict XML reader for topology files: elements and attributes, no document types of its own, no entities but the
// five of the standard and character numbers. Whatever comes in, it ends with a document or an error that names the line.
// Source: Extensible Markup Language (XML) 1.0, W3C; the parts that the files of hwloc and NCCL use.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti {

struct XmlAttribute {
  std::string name;
  std::string value;
};

struct XmlElement {
  std::string name;
  int line = 0;
  std::vector<XmlAttribute> attributes;
  std::vector<std::size_t> children;  // positions in XmlDocument::elements
  std::string text;                   // character data directly inside, all pieces joined

  // The value, or null when there is no such attribute.
  [[nodiscard]] const std::string* find(std::string_view attribute) const noexcept;
  // The value, or nothing.
  [[nodiscard]] std::string_view text_of(std::string_view attribute) const noexcept;
};

// The number that a text begins with: "15.75", "16 GT/s".
template <class T>
std::optional<T> leading_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

template <class T>
T number_of(const XmlElement& element, std::string_view attribute, T otherwise) {
  return leading_number<T>(element.text_of(attribute)).value_or(otherwise);
}

struct XmlDocument {
  static constexpr std::size_t kMaxElements = 1u << 20;
  static constexpr std::size_t kMaxDepth = 64;

  std::vector<XmlElement> elements;  // parents before children; the root is the first

  [[nodiscard]] const XmlElement& root() const { return elements.front(); }
};

// Code::protocol: "line 12: ...".
Result<XmlDocument> parse_xml(std::string_view text);

}  // namespace tutti
