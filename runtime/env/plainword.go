package env

import "strings"

// quoted reads a word that cannot split into several: in double quotes, or of bytes that
// mean nothing.
func (p *plainParser) quoted() (plainWord, bool) {
	if p.pos < len(p.text) && p.text[p.pos] == '"' {
		p.pos++
		word, ok := p.double(0)
		return word, ok && p.atEnd()
	}
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(wordBytes, p.text[p.pos]) >= 0 {
		p.pos++
	}
	text := p.text[start:p.pos]
	return plainWord{{text: text}}, text != "" && text[0] != '-' && text != "=" && p.atEnd()
}

// atEnd says whether a word ends here.
func (p *plainParser) atEnd() bool {
	return p.pos == len(p.text) || strings.IndexByte(" \t\n;", p.text[p.pos]) >= 0
}

// word reads the value of an assignment.
func (p *plainParser) word(depth int) (plainWord, bool) {
	word := plainWord{}
	for !p.atEnd() {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			parts, ok := p.double(depth)
			if !ok {
				return nil, false
			}
			word = append(word, parts...)
		case c == '\'':
			text, _, closed := strings.Cut(p.text[p.pos+1:], "'")
			if !closed {
				return nil, false
			}
			word = append(word, plainPart{text: text})
			p.pos += len(text) + 2
		case c == '$':
			part, ok := p.parameter(depth)
			if !ok {
				return nil, false
			}
			word = append(word, part)
		default:
			start := p.pos
			for p.pos < len(p.text) && strings.IndexByte(wordBytes, p.text[p.pos]) >= 0 {
				p.pos++
			}
			if p.pos == start {
				return nil, false
			}
			word = append(word, plainPart{text: p.text[start:p.pos]})
		}
	}
	return word, true
}

// double reads the rest of a word part in double quotes.
func (p *plainParser) double(depth int) (plainWord, bool) {
	word := plainWord{}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			word = append(word, plainPart{text: lit.String()})
			lit.Reset()
		}
	}
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; c {
		case '"':
			p.pos++
			flush()
			return word, true
		case '`', '\n':
			return nil, false
		case '\\':
			if p.pos+1 == len(p.text) || p.text[p.pos+1] == '\n' {
				return nil, false
			}
			if strings.IndexByte("\"\\$`", p.text[p.pos+1]) < 0 {
				lit.WriteByte(c)
			}
			lit.WriteByte(p.text[p.pos+1])
			p.pos += 2
		case '$':
			part, ok := p.parameter(depth)
			if !ok {
				return nil, false
			}
			flush()
			word = append(word, part)
		default:
			lit.WriteByte(c)
			p.pos++
		}
	}
	return nil, false
}

// parameter reads $NAME or ${NAME…}. Its operand is a word of literals, parameters and
// double quotes.
func (p *plainParser) parameter(depth int) (plainPart, bool) {
	if depth > maxPlainDepth {
		return plainPart{}, false
	}
	p.pos++
	braces := strings.HasPrefix(p.text[p.pos:], "{")
	if braces {
		p.pos++
	}
	start := p.pos
	for p.pos < len(p.text) && identifier("_"+p.text[p.pos:p.pos+1]) {
		p.pos++
	}
	part := plainPart{name: p.text[start:p.pos]}
	if !plainName(part.name) {
		return part, false
	}
	if !braces {
		return part, true
	}
	for _, op := range [...]string{":-", ":+", "-", "+"} {
		if strings.HasPrefix(p.text[p.pos:], op) {
			part.op = op
			p.pos += len(op)
			break
		}
	}
	for part.op != "" && !strings.HasPrefix(p.text[p.pos:], "}") {
		var parts plainWord
		ok := p.pos < len(p.text)
		switch {
		case ok && p.text[p.pos] == '"':
			p.pos++
			parts, ok = p.double(depth + 1)
		case ok && p.text[p.pos] == '$':
			parts = make(plainWord, 1)
			parts[0], ok = p.parameter(depth + 1)
		case ok:
			start := p.pos
			for p.pos < len(p.text) && strings.IndexByte(wordBytes, p.text[p.pos]) >= 0 {
				p.pos++
			}
			parts, ok = plainWord{{text: p.text[start:p.pos]}}, p.pos > start
		}
		if !ok {
			return part, false
		}
		part.word = append(part.word, parts...)
	}
	ok := strings.HasPrefix(p.text[p.pos:], "}")
	p.pos++
	return part, ok
}
