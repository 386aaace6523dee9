package main

import (
	"fmt"
	"strings"
)

func completionCommand() command {
	return command{
		name: "completion", args: "bash|zsh|fish", short: "print a script that completes command lines in a shell",
		examples: []string{
			`completion bash > ~/.local/share/bash-completion/completions/coracle`,
			`completion zsh > "${fpath[1]}/_coracle"`,
			`completion fish > ~/.config/fish/completions/coracle.fish`,
		},
		min: 1, max: 1,
		build: func() ([]flag, action) {
			return nil, func(c *cli, args []string) error {
				write, ok := map[string]func(string) string{
					"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion,
				}[args[0]]
				if !ok {
					return usageErrorf("completion: no script for %q; there are bash, zsh and fish", args[0])
				}
				_, err := fmt.Fprint(c.out, write(c.program))
				return err
			}
		},
	}
}

// imageSuffixes are what image files are usually called.
var imageSuffixes = [...]string{"sif", "simg", "img", "sqsh", "sqfs", "squashfs"}

// visible returns the flags that help shows.
func visible(flags []flag) []flag {
	var out []flag
	for _, f := range flags {
		if !f.hidden {
			out = append(out, f)
		}
	}
	return out
}

// words lists the spellings of flags; with values, only of those that take one.
func words(flags []flag, values bool) []string {
	var out []string
	for _, f := range flags {
		if values && f.isSwitch() {
			continue
		}
		if f.short != 0 {
			out = append(out, "-"+string(f.short))
		}
		out = append(out, "--"+f.name)
	}
	return out
}

// flagsOf returns the visible flags of a command, --help included.
func flagsOf(cmd command) []flag {
	flags, _ := cmd.build()
	var on bool
	return append(visible(flags), flag{name: "help", short: 'h', on: &on, help: "help about " + cmd.name})
}

// globals returns the visible global flags, --help included.
func globals() []flag {
	var g globalFlags
	var on bool
	return append(visible(g.table()), flag{name: "help", short: 'h', on: &on, help: "help"})
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		if !c.hidden {
			names = append(names, c.name)
		}
	}
	return names
}

// bashCompletion needs no package bash-completion.
func bashCompletion(program string) string {
	fn := "_" + program
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion for %s\n%s() {\n", program, fn)
	b.WriteString(`    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local cmd= flags= values= first= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -c|--config) ((i++)) ;;
            -*) ;;
            *) cmd=${COMP_WORDS[i]}; break ;;
        esac
    done
`)
	fmt.Fprintf(&b, "    if [[ \" %s \" == *\" $cmd \"* && $((i + 1)) -lt $COMP_CWORD ]]; then cmd+=\" ${COMP_WORDS[++i]}\"; fi\n    case $cmd in\n",
		strings.Join(groupNames(), " "))
	for _, cmd := range withParts(commands()) {
		if cmd.hidden {
			continue
		}
		flags := flagsOf(cmd)
		fmt.Fprintf(&b, "        %q) flags=%q values=%q first=%q ;;\n", cmd.name,
			strings.Join(words(flags, false), " "), strings.Join(words(flags, true), " "), firstArgument(cmd))
	}
	fmt.Fprintf(&b, "        *) flags=%q first=%q ;;\n", strings.Join(words(globals(), false), " "),
		"words:"+strings.Join(commandNames(), " "))
	fmt.Fprintf(&b, `    esac
    if [[ -n $cmd && " $values " == *" $prev "* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null; return
    fi
    local args=0 w
    if [[ -n $cmd ]]; then
        for ((i++; i < COMP_CWORD; i++)); do
            w=${COMP_WORDS[i]}
            if [[ $w == -* && $args == 0 ]]; then
                [[ " $values " == *" $w "* ]] && ((i++))
            else
                ((args++))
            fi
        done
    fi
    if [[ $cur == -* && $args == 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ $args == 0 && $first == words:* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${first#words:}" -- "$cur")
    elif [[ $first == instances ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" instance list 2>/dev/null | while read -r w _; do [[ $w == INSTANCE ]] || echo "$w"; done)" -- "$cur")
    elif [[ $args == 0 && $first == image ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -f -X '!*.@(%s)' -- "$cur"); compopt -o filenames 2>/dev/null
    elif [[ -n $cmd && $first == image ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null
    fi
}
shopt -s extglob
complete -F %s %s
`, strings.Join(imageSuffixes[:], "|"), fn, program)
	return b.String()
}

// groupNames lists the words that begin commands of two words.
func groupNames() []string {
	var names []string
	for _, c := range commands() {
		if c.parts != nil {
			names = append(names, c.name)
		}
	}
	return names
}

// firstArgument says what completes a command's first argument: "image", "words:a b", "instances" (all of its arguments) or nothing.
func firstArgument(cmd command) string {
	switch {
	case cmd.image:
		return "image"
	case cmd.name == "instance stop" || cmd.name == "instance stats" || cmd.name == "instance list":
		return "instances"
	case cmd.parts != nil:
		var list []string
		for _, p := range cmd.parts() {
			list = append(list, strings.TrimPrefix(p.name, cmd.name+" "))
		}
		return "words:" + strings.Join(list, " ")
	case cmd.name == "help":
		return "words:" + strings.Join(commandNames(), " ")
	case cmd.name == "completion":
		return "words:bash zsh fish"
	}
	return ""
}

func zshCompletion(program string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n\n_%s() {\n", program, program)
	b.WriteString("    local curcontext=$curcontext state line\n    typeset -A opt_args\n    _arguments -S -C \\\n")
	zshFlags(&b, globals())
	b.WriteString("        '1:command:->command' '*::argument:->argument'\n    case $state in\n    command)\n        local -a commands=(\n")
	for _, cmd := range commands() {
		if !cmd.hidden {
			fmt.Fprintf(&b, "            %s\n", zshQuote(cmd.name+":"+cmd.short))
		}
	}
	b.WriteString("        )\n        _describe command commands ;;\n    argument)\n        case $words[1] in\n")
	for _, cmd := range commands() {
		if cmd.hidden {
			continue
		}
		fmt.Fprintf(&b, "        %s)\n            _arguments -S -A '-*' \\\n", cmd.name)
		zshFlags(&b, flagsOf(cmd))
		switch first := firstArgument(cmd); {
		case first == "image":
			fmt.Fprintf(&b, "        '1:image:_files -g \"*.(%s)(-.)\"' '*:argument:_files' ;;\n", strings.Join(imageSuffixes[:], "|"))
		case first != "":
			fmt.Fprintf(&b, "        '1:word:(%s)' ;;\n", strings.TrimPrefix(first, "words:"))
		default:
			b.WriteString("        && return ;;\n")
		}
	}
	fmt.Fprintf(&b, "        esac ;;\n    esac\n}\n\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n    _%[1]s \"$@\"\nelse\n    compdef _%[1]s %[1]s\nfi\n", program)
	return b.String()
}

func zshFlags(b *strings.Builder, flags []flag) {
	for _, f := range flags {
		help := strings.NewReplacer("[", "(", "]", ")", ":", ";").Replace(f.help)
		value, repeat := "", ""
		if !f.isSwitch() {
			value = ":" + strings.NewReplacer("[", "", "]", "", ":", " ").Replace(f.arg) + ":_files"
		}
		if f.list != nil || f.count != nil {
			repeat = "*"
		}
		if f.short != 0 {
			fmt.Fprintf(b, "        %s \\\n", zshQuote(fmt.Sprintf("%s-%c[%s]%s", repeat, f.short, help, value)))
		}
		eq := ""
		if value != "" {
			eq = "="
		}
		fmt.Fprintf(b, "        %s \\\n", zshQuote(fmt.Sprintf("%s--%s%s[%s]%s", repeat, f.name, eq, help, value)))
	}
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishCompletion(program string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s\n", program)
	fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -f\n", program)
	line := func(cond string, f flag) {
		fmt.Fprintf(&b, "complete -c %s -n %s -l %s", program, zshQuote(cond), f.name)
		if f.short != 0 {
			fmt.Fprintf(&b, " -s %c", f.short)
		}
		if !f.isSwitch() {
			b.WriteString(" -r")
		}
		fmt.Fprintf(&b, " -d %s\n", fishQuote(f.help))
	}
	for _, f := range globals() {
		line("__fish_use_subcommand", f)
	}
	for _, cmd := range commands() {
		if cmd.hidden {
			continue
		}
		fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -a %s -d %s\n", program, cmd.name, fishQuote(cmd.short))
		seen := "__fish_seen_subcommand_from " + cmd.name
		for _, f := range flagsOf(cmd) {
			line(seen, f)
		}
		if first, ok := strings.CutPrefix(firstArgument(cmd), "words:"); ok {
			fmt.Fprintf(&b, "complete -c %s -n %s -f -a %s\n", program, zshQuote(seen), fishQuote(first))
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
