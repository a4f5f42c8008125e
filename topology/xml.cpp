#include "topology/xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/printable.h"

namespace tutti {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
         c == ':';
}

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxAttributes = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<XmlDocument> parse() {
    if (text_.find('\0') != std::string_view::npos) return error("a zero byte");
    while (at_ < text_.size()) {
      if (Status status = next(); !status) return std::move(status.error());
    }
    if (!open_.empty()) return error(fmt::format("the file ends inside <{}>", document_.elements[open_.back()].name));
    if (document_.elements.empty()) return error("no element at all");
    return std::move(document_);
  }

 private:
  [[nodiscard]] bool starts_with(std::string_view prefix) const { return text_.substr(at_).starts_with(prefix); }

  void advance(std::size_t count) {
    const std::size_t end = std::min(at_ + count, text_.size());
    line_ += static_cast<int>(std::count(text_.data() + at_, text_.data() + end, '\n'));
    at_ = end;
  }

  void skip_space() {
    std::size_t end = at_;
    while (end < text_.size() && is_space(text_[end])) ++end;
    advance(end - at_);
  }

  [[nodiscard]] Error error(std::string_view what) const { return {Code::protocol, fmt::format("line {}: {}", line_, what)}; }

  // One piece of mark-up or of text.
  Status next() {
    if (starts_with("<!--")) return skip_past("-->", "a comment");
    if (starts_with("<?")) return skip_past("?>", "a processing instruction");
    if (starts_with("<!")) return skip_document_type();
    if (starts_with("</")) return close_element();
    if (starts_with("<")) return open_element();
    return character_data();
  }

  Status skip_past(std::string_view end, std::string_view what) {
    const std::size_t found = text_.find(end, at_);
    if (found == std::string_view::npos) return error(fmt::format("{} that does not end", what));
    advance(found + end.size() - at_);
    return {};
  }

  Status skip_document_type() {
    const std::size_t end = text_.find('>', at_);
    if (end == std::string_view::npos || !starts_with("<!DOCTYPE") || !document_.elements.empty()) {
      return error("a declaration that is not read here");
    }
    if (text_.substr(at_, end - at_).find('[') != std::string_view::npos) return error("a document type with declarations in it");
    advance(end + 1 - at_);
    return {};
  }

  Status character_data() {
    const std::size_t end = std::min(text_.find('<', at_), text_.size());
    const std::string_view piece = text_.substr(at_, end - at_);
    const bool blank = std::all_of(piece.begin(), piece.end(), is_space);
    if (open_.empty() && !blank) return error("text outside of the elements");
    if (!blank) {
      auto text = decode(piece);
      if (!text) return std::move(text.error());
      document_.elements[open_.back()].text += *text;
    }
    advance(end - at_);
    return {};
  }

  std::string_view take_name() {
    std::size_t end = at_;
    while (end < text_.size() && is_name(text_[end])) ++end;
    const std::string_view result = text_.substr(at_, end - at_);
    at_ = end;
    return result;
  }

  Status open_element() {
    advance(1);
    XmlElement element;
    element.line = line_;
    element.name = take_name();
    if (element.name.empty()) return error("a '<' without a name after it");
    if (element.name.size() > kMaxName) return error("an element name that is too long");
    while (true) {
      skip_space();
      if (starts_with("/>") || starts_with(">")) break;
      if (Status status = attribute(element); !status) return status;
    }
    const bool empty = starts_with("/>");
    advance(empty ? 2 : 1);
    return add(std::move(element), empty);
  }

  Status add(XmlElement element, bool empty) {
    const std::size_t id = document_.elements.size();
    if (open_.empty() && id > 0) return error("a second root element");
    if (id >= XmlDocument::kMaxElements) return error(fmt::format("more than {} elements", XmlDocument::kMaxElements));
    if (open_.size() >= XmlDocument::kMaxDepth) return error(fmt::format("nested more than {} deep", XmlDocument::kMaxDepth));
    if (!open_.empty()) document_.elements[open_.back()].children.push_back(id);
    document_.elements.push_back(std::move(element));
    if (!empty) open_.push_back(id);
    return {};
  }

  Status attribute(XmlElement& element) {
    if (at_ >= text_.size()) return error(fmt::format("the file ends inside the tag <{}", element.name));
    const std::string_view key = take_name();
    if (key.empty()) return error(fmt::format("an unexpected character inside the tag <{}", element.name));
    if (key.size() > kMaxName) return error("an attribute name that is too long");
    if (element.attributes.size() >= kMaxAttributes) return error(fmt::format("more than {} attributes", kMaxAttributes));
    skip_space();
    if (!starts_with("=")) return error(fmt::format("attribute {} has no value", key));
    advance(1);
    skip_space();
    if (!starts_with("\"") && !starts_with("'")) return error(fmt::format("the value of attribute {} is not quoted", key));
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return error(fmt::format("the value of attribute {} does not end", key));
    const std::string_view raw = text_.substr(at_ + 1, end - at_ - 1);
    if (raw.find('<') != std::string_view::npos) return error(fmt::format("a '<' in the value of attribute {}", key));
    if (element.find(key) != nullptr) return error(fmt::format("attribute {} twice", key));
    auto value = decode(raw);
    if (!value) return std::move(value.error());
    advance(end + 1 - at_);
    element.attributes.push_back({std::string(key), std::move(*value)});
    return {};
  }

  Status close_element() {
    advance(2);
    const std::string_view closing = take_name();
    skip_space();
    if (!starts_with(">")) return error(fmt::format("the closing tag </{} does not end", closing.substr(0, 40)));
    if (open_.empty()) return error(fmt::format("</{}> closes nothing", closing.substr(0, 40)));
    if (document_.elements[open_.back()].name != closing) {
      return error(fmt::format("</{}> where </{}> is due", closing.substr(0, 40), document_.elements[open_.back()].name));
    }
    advance(1);
    open_.pop_back();
    return {};
  }

  Result<std::string> decode(std::string_view raw) const {
    std::string text;
    while (!raw.empty()) {
      const std::size_t ampersand = raw.find('&');
      text += raw.substr(0, ampersand);
      if (ampersand == std::string_view::npos) break;
      const std::size_t end = raw.find(';', ampersand);
      if (end == std::string_view::npos || !append_entity(raw.substr(ampersand + 1, end - ampersand - 1), text)) {
        return error("an '&' that is no known entity");
      }
      raw.remove_prefix(end + 1);
    }
    return text;
  }

  static bool append_entity(std::string_view entity, std::string& text) {
    static constexpr struct {
      std::string_view name;
      char value;
    } kEntities[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    for (const auto& known : kEntities) {
      if (entity == known.name) {
        text += known.value;
        return true;
      }
    }
    if (!entity.starts_with('#')) return false;
    const bool hexadecimal = entity.starts_with("#x");
    entity.remove_prefix(hexadecimal ? 2 : 1);
    unsigned value = 0;
    const auto [end, failed] = std::from_chars(entity.data(), entity.data() + entity.size(), value, hexadecimal ? 16 : 10);
    if (failed != std::errc{} || end != entity.data() + entity.size()) return false;
    // Nothing beyond ASCII matters in these files.
    const bool space = value == '\n' || value == '\t' || value == '\r';
    text += space ? ' ' : value < 0x7f && is_printable(static_cast<char>(value)) ? static_cast<char>(value) : '?';
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  XmlDocument document_;
  std::vector<std::size_t> open_;
};

}  // namespace

const std::string* XmlElement::find(std::string_view attribute) const noexcept {
  const auto found = std::find_if(attributes.begin(), attributes.end(), [&](const auto& a) { return a.name == attribute; });
  return found == attributes.end() ? nullptr : &found->value;
}

std::string_view XmlElement::text_of(std::string_view attribute) const noexcept {
  const std::string* value = find(attribute);
  return value == nullptr ? std::string_view() : std::string_view(*value);
}

Result<XmlDocument> parse_xml(std::string_view text) { return Parser(text).parse(); }

}  // namespace tutti
