# What Doxygen reads instead of a file. Headers: copies and moves that are deleted or defaulted, and so say all there is
# to say, are left out (with a comment they stay). Pages: headings get GitHub's anchors, prefixed with the page's name.
FNR == 1 { page = FILENAME; gsub(/^.*\/|\.md$/, "", page) }
FILENAME ~ /\.hpp$/ {
  special = /^ *[^\/].*= (delete|default);$/ && before !~ /^ *\/\/\//
  before = $0
  print(special ? "" : $0)
  next
}
/^```/ { code = !code }
!code && /^##+ / {
  slug = tolower($0)
  gsub(/^#+ |[^a-z0-9 _-]/, "", slug)
  gsub(/ /, "-", slug)
  print $0 " {#" page "-" slug "}"
  next
}
!code { gsub(/\]\(#/, "&" page "-") }
{ print }
