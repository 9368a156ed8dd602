import { LABELS, type Field, type Values } from "@/lib/values";

interface Props {
  /** The prefix of the elements' IDs. It must differ between forms on the same page. */
  id: string;
  values?: Partial<Values>;
  errors?: Record<string, string[]>;
}

interface TextProps extends Props {
  name: Field;
  label?: string;
  placeholder?: string;
  hint?: string;
  isLong?: boolean;
  isHalf?: boolean;
  type?: string;
}

/** A labelled input. The service validates the value; its messages for the field appear below the input. */
export function TextField(props: TextProps) {
  const { id, name, values, errors, label = LABELS[name], placeholder, hint, isLong, isHalf, type } = props;
  const messages = errors?.[name];
  const note = messages?.join(" ") ?? hint;
  const input = {
    id: `${id}-${name}`,
    name,
    placeholder,
    defaultValue: values?.[name],
    "aria-invalid": messages && true,
    "aria-describedby": note && `${id}-${name}-note`,
  };
  return (
    <div className={isHalf ? "field half" : "field"}>
      <label htmlFor={input.id}>{label}</label>
      {isLong ? <textarea {...input} rows={3} /> : <input {...input} type={type} autoComplete="off" />}
      {note && (
        <p id={input["aria-describedby"]} className={messages ? "wrong" : "muted"}>
          {note}
        </p>
      )}
    </div>
  );
}

export function DetailFields(props: Props) {
  return (
    <>
      <TextField {...props} name="description" isLong />
      <TextField {...props} name="due_date" type="date" isHalf />
      <div className="field half">
        <label htmlFor={`${props.id}-priority`}>Priority</label>
        <select id={`${props.id}-priority`} name="priority" defaultValue={props.values?.priority}>
          <option value="">None</option>
          <option value="high">High</option>
          <option value="medium">Medium</option>
          <option value="low">Low</option>
        </select>
      </div>
      <TextField {...props} name="tags" hint="Separate them by commas." />
    </>
  );
}
