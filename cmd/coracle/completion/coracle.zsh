#compdef coracle
# zsh completion for coracle; in ~/.zshrc, after compinit:  source <(coracle completion zsh)
_coracle() {
	local -a lines texts abouts space
	local directive line
	lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" complete zsh -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	directive=$lines[1]
	case $directive in
	files) _files; return ;;
	dirs) _files -/; return ;;
	nospace) space=(-S '') ;;
	esac
	for line in "${(@)lines[2,-1]}"; do
		[[ -n $line ]] || continue
		texts+=("${line%%$'\t'*}")
		abouts+=("${line//$'\t'/  -- }")
	done
	((${#texts})) || return 1
	if [[ $directive == about ]]; then
		compadd -Q -l -d abouts -a texts
	else
		compadd -Q "${space[@]}" -a texts
	fi
}
if [[ $funcstack[1] == _coracle ]]; then
	_coracle "$@"
else
	compdef _coracle coracle
fi
