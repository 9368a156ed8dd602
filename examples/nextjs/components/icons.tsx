const icon = { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": true } as const;
const stroke = { fill: "none", stroke: "currentColor", strokeWidth: 1.8, strokeLinecap: "round", strokeLinejoin: "round" } as const;

export const Mark = () => (
  <svg viewBox="0 0 32 32" width="32" height="32" aria-hidden className="mark">
    <rect width="32" height="32" rx="9" />
    <path d="m9 16.5 5 5 9.5-11" />
  </svg>
);

export const Pencil = () => (
  <svg {...icon} {...stroke}>
    <path d="m4 20 .9-4L16.2 4.7a1.8 1.8 0 0 1 2.6 0l.5.5a1.8 1.8 0 0 1 0 2.6L8 19.1zM14.5 6.5l3 3" />
  </svg>
);

export const Bin = () => (
  <svg {...icon} {...stroke}>
    <path d="M4.5 7h15M9.5 7V5.2c0-.7.5-1.2 1.2-1.2h2.6c.7 0 1.2.5 1.2 1.2V7M6.5 7l.8 11.6c0 .8.7 1.4 1.4 1.4h6.6c.7 0 1.4-.6 1.4-1.4L17.5 7M10 11v5M14 11v5" />
  </svg>
);

export const Calendar = ({ size = 14 }: { size?: number }) => (
  <svg {...icon} {...stroke} width={size} height={size}>
    <rect x="4" y="5.5" width="16" height="14.5" rx="2.5" />
    <path d="M4 10.5h16M8.5 3v4M15.5 3v4" />
  </svg>
);

export const Clipboard = () => (
  <svg {...stroke} viewBox="0 0 96 96" width="96" height="96" strokeWidth={2} aria-hidden className="drawing">
    <rect x="22" y="18" width="52" height="64" rx="9" />
    <path d="M38 18v-2a6 6 0 0 1 6-6h8a6 6 0 0 1 6 6v2a4 4 0 0 1-4 4H42a4 4 0 0 1-4-4zM34 42l4 4 7-8M52 43h12M34 60l4 4 7-8M52 61h8" />
  </svg>
);
